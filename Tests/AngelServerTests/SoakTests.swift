import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelTesting
import Glibc
import Synchronization
import Testing

@testable import AngelServer

/// Many clients at once, most of them ill-behaved, against the real engine.
@Suite("A server under abuse")
struct SoakTests {
  /// What a client does with one connection.
  enum Conduct: CaseIterable, Sendable {
    case whole, stream, severalAnswers, slowReader, slowWriter, embedding
    case badJSON, invalidUTF8, tooLarge, beyondContext, unknownField, wrongPath
    case leavesBeforeAnswer, leavesInStream, leavesInBody
    case revokedKey

    /// The statuses that are right; empty where the client does not wait for one.
    var statuses: Set<Int> {
      switch self {
      case .whole, .stream, .severalAnswers, .slowReader, .slowWriter, .embedding: [200, 429]
      case .badJSON, .invalidUTF8, .beyondContext, .unknownField: [400]
      case .tooLarge: [413]
      case .wrongPath: [404]
      case .leavesBeforeAnswer, .leavesInStream, .leavesInBody: []
      case .revokedKey: [200, 401, 429]
      }
    }
  }

  /// What went wrong, and how often each status came.
  private final class Tally: Sendable {
    private let state = Mutex<(failures: [String], statuses: [Int: Int])>(([], [:]))
    func fail(_ text: String) { state.withLock { $0.failures.append(text) } }
    func count(_ status: Int) { state.withLock { $0.statuses[status, default: 0] += 1 } }
    var failures: [String] { state.withLock(\.failures) }
    var statuses: [Int: Int] { state.withLock(\.statuses) }
  }

  private let environment = Environment.current()

  @Test("every well-formed request is answered once, bad ones with 4xx, and nothing is left behind")
  func soak() throws {
    let (clients, requests) = environment.runsAllTests ? (64, 10_000) : (8, 240)
    let folder = try TemporaryFolder()
    let file = KeyFile(path: folder("keys.json"))
    let steady = APIKey.make(name: "steady", now: 0)
    try file.write([steady.key])
    let engine = try Self.engine()
    let model = ServedModel(name: "tiny", created: 0) { OpenedModel(byteCount: 0) { .language(engine) } }
    var options = ServerOptions()
    options.http.port = 0
    options.http.bodyLimit = 64 << 10
    let keys = try KeyRing(file, log: .silent)
    let server = try APIServer(ModelShelf([model], budget: 1, log: .silent), keys: keys, options: options)
    let place = HTTPClient.Place(host: "127.0.0.1", port: try server.start())
    let tally = Tally()
    let volatile = Volatile(file, steady.key)
    let left = Atomic<Int>(requests)
    let before = Self.residentBytes()
    try DedicatedThread.run(clients) { client in
      var random = SeededRandom(seed: UInt64(client))
      while left.subtract(1, ordering: .relaxed).oldValue > 0 {
        let conduct = Conduct.allCases.randomElement(using: &random) ?? .whole
        let key = conduct == .revokedKey ? volatile.take() : steady.text
        do {
          try Self.act(conduct, place, key, &random, tally)
        } catch {
          tally.fail("\(conduct): \(error)")
        }
        if conduct == .revokedKey { volatile.revoke(key) }
      }
    }
    #expect(tally.failures == [])
    #expect(tally.statuses.keys.allSatisfy { $0 < 500 })
    #expect(eventually { server.exchangeCount == 0 })
    #expect(eventually { engine.statistics.running == 0 && engine.statistics.waiting == 0 })
    #expect(eventually { engine.statistics.blocksInUse == 0 })
    #expect(Self.residentBytes() - before < 512 << 20)
    server.stop()
  }

  private static func engine() throws -> BatchEngine {
    let backend = try CPUBackend(threadCount: 2)
    var options = ServingOptions()
    options.sequenceLimit = 8
    return try BatchEngine(
      Checkpoint.open(Goldens.path("models/llama-tiny")), on: backend, pool: backend.pool, options: options)
  }

  private static func residentBytes() -> Int {
    guard let text = try? TemporaryFolder.read("/proc/self/statm") else { return 0 }
    let pages = String(decoding: text, as: UTF8.self).split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

  /// Keys that come and go while they are used.
  private final class Volatile: Sendable {
    private let file: KeyFile
    private let steady: APIKey
    private let keys = Mutex<[(text: String, key: APIKey)]>([])

    init(_ file: KeyFile, _ steady: APIKey) {
      self.file = file
      self.steady = steady
    }

    func take() -> String {
      keys.withLock { keys in
        keys.append(APIKey.make(name: "volatile\(keys.count)", now: 0))
        write(keys)
        return keys[keys.count - 1].text
      }
    }

    func revoke(_ text: String) {
      keys.withLock { keys in
        keys.removeAll { $0.text == text }
        write(keys)
      }
    }

    private func write(_ keys: [(text: String, key: APIKey)]) { try? file.write([steady] + keys.map(\.key)) }
  }

  // One connection

  private static func body(_ conduct: Conduct, _ random: inout SeededRandom) -> [UInt8] {
    let count = Int.random(in: 1...24, using: &random)
    let tokens = (0..<count).map { _ in Int.random(in: 1..<200, using: &random) }
    let length = Int.random(in: 1...12, using: &random)
    let rest = "\"max_tokens\":\(length),\"ignore_eos\":true,\"seed\":\(length)"
    switch conduct {
    case .stream, .slowReader, .leavesInStream, .revokedKey:
      return Array("{\"prompt\":\(tokens),\"stream\":true,\(rest)}".utf8)
    case .severalAnswers: return Array("{\"prompt\":[\(tokens),\(tokens)],\"n\":2,\(rest)}".utf8)
    case .embedding: return Array("{\"input\":\(tokens)}".utf8)
    case .badJSON: return Array("{\"prompt\":\(tokens)".utf8)
    case .invalidUTF8: return Array("{\"prompt\":\"".utf8) + [0xFF, 0xFE] + Array("\"}".utf8)
    case .tooLarge: return [UInt8](repeating: 0x20, count: 100 << 10)
    case .beyondContext: return Array("{\"prompt\":\([Int](repeating: 5, count: 10_000))}".utf8)
    case .unknownField: return Array("{\"prompt\":\(tokens),\"colour\":1}".utf8)
    case .whole, .slowWriter, .wrongPath, .leavesBeforeAnswer, .leavesInBody:
      return Array("{\"prompt\":\(tokens),\(rest)}".utf8)
    }
  }

  private static func act(
    _ conduct: Conduct, _ place: HTTPClient.Place, _ key: String, _ random: inout SeededRandom, _ tally: Tally
  ) throws {
    let client = try HTTPClient(place, seconds: 120)
    let path = conduct == .wrongPath ? "/v1/nowhere" : conduct == .embedding ? "/v1/embeddings" : "/v1/completions"
    let body = body(conduct, &random)
    let headers = [
      (name: "authorization", value: "Bearer \(key)"), (name: "content-type", value: "application/json"),
    ]
    switch conduct {
    case .slowWriter, .leavesInBody:
      var text = "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(body.count)\r\n"
      for header in headers { text += "\(header.name): \(header.value)\r\n" }
      let bytes = Array((text + "\r\n").utf8) + body
      let end = conduct == .slowWriter ? bytes.count : Int.random(in: 1..<bytes.count, using: &random)
      for start in stride(from: 0, to: end, by: 40) {
        try client.send(Array(bytes[start..<min(start + 40, end)]))
        usleep(200)
      }
    default: try client.send("POST", path, headers: headers, body: body)
    }
    if conduct == .leavesInBody || conduct == .leavesBeforeAnswer { return }
    let head = try client.head()
    tally.count(head.status)
    guard conduct != .leavesInStream else { return }
    var reader = HTTPClient.BodyReader(head)
    var text: [UInt8] = []
    while let piece = try client.piece(&reader) {
      text += piece
      if conduct == .slowReader { usleep(1_000) }
    }
    try check(conduct, head.status, String(decoding: text, as: UTF8.self))
    // The connection goes on where it should: nothing is left of the answer.
    guard head["connection"] != "close" else { return }
    try client.send("GET", "/health")
    let health = try client.response()
    guard health.status == 200, health.text == #"{"status":"ok"}"# else {
      throw TestingFailure("the next answer was \(health.status): \(health.text)")
    }
  }

  private static func check(_ conduct: Conduct, _ status: Int, _ text: String) throws {
    guard conduct.statuses.contains(status) else { throw TestingFailure("\(status): \(text.prefix(300))") }
    if status == 200, [.stream, .slowReader, .revokedKey].contains(conduct) {
      guard text.hasSuffix("data: [DONE]\n\n"), text.components("[DONE]") == 1 else {
        throw TestingFailure("the stream ends with \(text.suffix(200))")
      }
      guard conduct == .revokedKey || text.components(#""finish_reason":"length""#) == 1 else {
        throw TestingFailure("the stream has no end: \(text.suffix(600))")
      }
    } else {
      let json = try JSONValue(parsing: text)
      guard (json["error"] == nil) == (status == 200) else { throw TestingFailure(String(text.prefix(300))) }
      if conduct == .severalAnswers, status == 200, json["choices"]?.array?.count != 4 {
        throw TestingFailure("four answers were asked for: \(text.prefix(300))")
      }
    }
  }
}

extension String {
  /// How often `part` occurs.
  fileprivate func components(_ part: String) -> Int { ranges(of: part).count }
}
