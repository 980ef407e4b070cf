import AngelCore
import AngelHCF
import AngelTesting
import Synchronization
import Testing

@testable import AngelServer

/// What writes a stream, by itself.
@Suite("Streams are written in place")
struct StreamTests {
  /// How often a stream was asked to write, and how often it found itself copied.
  private final class Counts: Sendable {
    private let counts = Mutex((writes: 0, copies: 0))
    var writes: Int { counts.withLock(\.writes) }
    var copies: Int { counts.withLock(\.copies) }
    func add(isCopy: Bool) {
      counts.withLock {
        $0.writes += 1
        $0.copies += isCopy ? 1 : 0
      }
    }
  }

  /// A form whose stream remembers all it has written.
  private struct RememberingForm: AnswerForm {
    let counts: Counts
    func whole(_ answers: [CollectedAnswer], _ usage: ServingUsage) -> JSONValue { nil }
    func makeStream() -> any AnswerStream { RememberingStream(counts: counts) }
  }

  private struct RememberingStream: AnswerStream {
    let counts: Counts
    var written: [UInt8] = []

    mutating func begin(to text: inout String) { written.reserveCapacity(1 << 16) }

    mutating func write(_ event: AnswerEvent, to text: inout String) {
      let before = written.withUnsafeBufferPointer { $0.baseAddress }
      written.append(0)
      counts.add(isCopy: before != written.withUnsafeBufferPointer { $0.baseAddress })
      text += "."
    }

    mutating func end(_ usage: ServingUsage, to text: inout String) { text += "!" }
    mutating func fail(_ error: APIError, to text: inout String) { text += "?" }
  }

  @Test("with each piece a stream grows where it is: nobody else holds it, and nothing is copied")
  func inPlace() throws {
    let running = try RunningServer(ScriptedEngine(String(repeating: "one two three ", count: 12)))
    let handle = HTTPExchange.Handle(pointer: try #require(OpaquePointer(bitPattern: 8)))
    let exchange = HTTPExchange(
      HTTPRequestHead(method: "POST", path: "/v1/completions"), handle, descriptor: -1, bodyLimit: 0,
      bodies: BodyBudget(limit: 0), keepsBody: true, now: 0)
    let call = APICall(
      running.server, exchange, try #require(EndpointCatalog.matches("/v1/completions").first), requestID: "one",
      key: nil)
    let answer = Mailbox<Result<ModelUse, any Error>>()
    running.server.shelf.use("scripted") { answer.send($0) }
    let use = try #require(answer.receive(waits: true).first).get()
    let engine = running.engine
    let counts = Counts()
    let plan = try GenerationPlan(
      [GenerationPlan.Prompt(tokens: [1])], from: "prompt", .greedy, limit: nil, streams: true, engine)
    // The engine waits behind its first token, so that the stream is asked several times.
    engine.hold(true)
    let generation = try Generation.run(plan, RememberingForm(counts: counts), use, call)
    var text = ""
    read: while true {
      switch generation.next() {
      case .bytes(let bytes):
        text += String(decoding: bytes, as: UTF8.self)
        engine.hold(false)
      case .nothingYet: waitALittle()
      case .end: break read
      }
    }
    #expect(counts.writes > 30 && counts.copies == 0)
    #expect(text == String(repeating: ".", count: counts.writes) + "!")
  }
}
