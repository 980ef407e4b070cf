import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelTesting
import AngelText
import Synchronization
import Testing

@testable import AngelServer

/// Vectors that are refused, or that nobody waits for any more: nothing is left of the request.
@Suite("Embeddings that end early")
struct EmbeddingTests {
  /// An encoder that answers nothing, and counts who does not want an answer any more.
  private final class HeldEncoder: EmbeddingEngine {
    let tokenizer: Tokenizer
    let (longest, width) = (64, 2)
    var vocabularySize: Int { tokenizer.vocabularySize }
    private let counts = Mutex((asked: 0, cancelled: 0))

    init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    var asked: Int { counts.withLock(\.asked) }
    var cancelled: Int { counts.withLock(\.cancelled) }

    func embed(_ texts: [[Int32]], onResult: @escaping @Sendable (Result<[[Float]], any Error>) -> Void) throws
      -> ServingTicket
    {
      counts.withLock { $0.asked += 1 }
      return ServingTicket(id: 1) { [self] in counts.withLock { $0.cancelled += 1 } }
    }

    func drain(onEnd: @escaping @Sendable () -> Void) { onEnd() }
  }

  private let folder: TemporaryFolder
  private let file: KeyFile
  private let key: String
  /// A key that may use one token a minute.
  private let limitedKey: String
  private let engine: ScriptedEngine
  private let encoder: HeldEncoder
  private let running: RunningServer

  /// A server whose memory has room for one of its models at a time.
  init() throws {
    folder = try TemporaryFolder()
    file = KeyFile(path: folder("keys.json"))
    let (text, known) = APIKey.make(name: "a", now: 5)
    let (limitedText, plain) = APIKey.make(name: "b", now: 5)
    var limited = plain
    limited.tokensPerMinute = 1
    try file.write([known, limited])
    (key, limitedKey) = (text, limitedText)
    let engine = try ScriptedEngine()
    let encoder = HeldEncoder(engine.tokenizer)
    (self.engine, self.encoder) = (engine, encoder)
    func model(_ name: String, _ loaded: @escaping @Sendable () throws -> LoadedModel) -> ServedModel {
      ServedModel(name: name, created: 1) { OpenedModel(byteCount: 100, load: loaded) }
    }
    running = try RunningServer(
      models: [
        model("first") { .language(engine) }, model("encoder") { .encoder(encoder) },
        model("last") { .language(try ScriptedEngine()) },
      ], keys: KeyRing(file, log: .silent), budget: 150)
  }

  private var headers: [(name: String, value: String)] { headers(key) }

  private func headers(_ key: String) -> [(name: String, value: String)] {
    [("authorization", "Bearer \(key)"), ("content-type", "application/json"), ("x-request-id", "one")]
  }

  /// Whether another model gets the memory, for which every request for the one before must have ended.
  private func isLetGo() -> Bool {
    running.server.shelf.use("last") { _ in }
    return eventually { running.server.shelf.isLoaded("last") }
  }

  /// Asks on a connection that is still open.
  private func ask(_ path: String, _ body: String, key: String? = nil) throws -> HTTPClient {
    let client = try HTTPClient(running.place, seconds: 60)
    try client.send("POST", path, headers: headers(key ?? self.key), body: Array(body.utf8))
    return client
  }

  private func tokensLeft(_ key: String) -> String? {
    (try? running.get("/v1/models", headers: headers(key)))?["x-ratelimit-remaining-tokens"]
  }

  @Test("one that an engine refuses holds its model no longer")
  func refused() throws {
    engine.refuse(with: .queueFull(queuedTokens: 9, limit: 8, retryAfterSeconds: 3))
    let answer = try running.post("/v1/embeddings", #"{"input":["a","b"]}"#, headers: headers)
    #expect(answer.error == (429, nil, "queue_full"))
    #expect(isLetGo())
  }

  @Test("a client that leaves cancels its texts, which count, and holds the model no longer")
  func left() throws {
    engine.hold(true)
    #expect(tokensLeft(limitedKey) == "1")
    do {
      let client = try ask("/v1/embeddings", #"{"input":[[1,2,3],[4,5]]}"#, key: limitedKey)
      #expect(eventually { engine.embeddedCount == 2 })
      _ = client
    }
    #expect(eventually { engine.cancelledCount == 2 })
    // Five of one: none is left for minutes.
    #expect(eventually { tokensLeft(limitedKey) == "0" })
    #expect(isLetGo())
  }

  @Test("a key that is revoked ends its embedding with an error")
  func revoked() throws {
    engine.hold(true)
    let client = try ask("/v1/embeddings", #"{"input":[[1,2,3]]}"#)
    #expect(eventually { engine.embeddedCount == 1 })
    try file.write([])
    #expect(try client.response().error == (401, nil, "invalid_api_key"))
    #expect(engine.cancelledCount == 1)
    #expect(isLetGo())
  }

  @Test("ranking by an encoder is cancelled too, when its client leaves and when its key is revoked")
  func ranking() throws {
    let body = #"{"model":"encoder","query":"a","documents":["b"]}"#
    do {
      let client = try ask("/v1/rerank", body)
      #expect(eventually { encoder.asked == 1 })
      _ = client
    }
    #expect(eventually { encoder.cancelled == 1 })
    let client = try ask("/v1/rerank", body)
    #expect(eventually { encoder.asked == 2 })
    try file.write([])
    #expect(try client.response().error == (401, nil, "invalid_api_key"))
    #expect(encoder.cancelled == 2)
    #expect(isLetGo())
  }

  @Test("an encoder's thread passes over texts that are not wanted any more, and goes on")
  func service() throws {
    let backend = try CPUBackend(threadCount: 1)
    let service = try EncoderService(
      TextEmbedder(
        Checkpoint.open(Goldens.path("models/bert-tiny")), on: backend, pool: backend.pool, arithmetic: .f32))
    let (gate, results) = (Mailbox<Bool>(), Mailbox<Result<[[Float]], any Error>>())
    _ = try service.embed([[1, 2]]) { _ in _ = gate.receive(waits: true) }
    let unwanted = try service.embed([[1, 2], [3]]) { results.send($0) }
    unwanted.cancel()
    gate.send(true)
    #expect(throws: Interrupted.self) { try results.receive(waits: true).first?.get() }
    let wanted = try service.embed([[1, 2], [3]]) { results.send($0) }
    #expect(try results.receive(waits: true).first?.get().map(\.count) == [32, 32])
    #expect(wanted.id == 3)
  }
}
