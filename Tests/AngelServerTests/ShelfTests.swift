import AngelCore
import AngelTesting
import Synchronization
import Testing

@testable import AngelServer

/// Several models in one memory.
@Suite("Models on a shelf")
struct ShelfTests {
  /// How often each model has been loaded.
  private final class Loads: Sendable {
    private let counts = Mutex<[String: Int]>([:])
    subscript(name: String) -> Int { counts.withLock { $0[name] ?? 0 } }
    func add(_ name: String) { counts.withLock { $0[name, default: 0] += 1 } }
  }

  private let loads = Loads()

  private func shelf(_ sizes: [(String, Int)], budget: Int) throws -> ModelShelf {
    try ModelShelf(
      sizes.map { name, size in
        ServedModel(name: name, created: 0) { [loads] in
          OpenedModel(byteCount: size) {
            loads.add(name)
            return .language(try ScriptedEngine())
          }
        }
      }, budget: budget, log: .silent)
  }

  private func use(_ shelf: ModelShelf, _ name: String) throws -> ModelUse {
    let answer = Mailbox<Result<ModelUse, any Error>>()
    shelf.use(name) { answer.send($0) }
    return try #require(answer.receive(waits: true).first).get()
  }

  @Test("the one that was not asked for longest makes room")
  func leastRecentlyUsed() throws {
    let shelf = try shelf([("a", 4), ("b", 4), ("c", 4)], budget: 8)
    for name in ["a", "b", "a", "c"] { _ = try use(shelf, name) }
    #expect(shelf.isLoaded("a") && !shelf.isLoaded("b") && shelf.isLoaded("c"))
    _ = try use(shelf, "b")
    #expect(!shelf.isLoaded("a") && loads["a"] == 1 && loads["b"] == 2)
  }

  @Test("a model that is in use is not unloaded before its request has ended")
  func inUse() throws {
    let shelf = try shelf([("a", 4), ("b", 8)], budget: 8)
    var held: ModelUse? = try use(shelf, "a")
    let answer = Mailbox<Result<ModelUse, any Error>>()
    shelf.use("b") { answer.send($0) }
    // It leaves, so it is given to nobody else; whoever asks now waits for its next load.
    let again = Mailbox<Result<ModelUse, any Error>>()
    #expect(eventually { loads["b"] == 0 })
    #expect(answer.receive(waits: false).isEmpty)
    withExtendedLifetime(held) {}
    held = nil
    let second = try #require(answer.receive(waits: true).first).get()
    #expect(second.name == "b" && loads["b"] == 1 && !shelf.isLoaded("a"))
    shelf.use("a") { again.send($0) }
    #expect(again.receive(waits: false).isEmpty)
    withExtendedLifetime(second) {}
  }

  @Test("what can never fit is refused with the figures")
  func tooLarge() throws {
    let shelf = try shelf([("a", 4), ("b", 9)], budget: 8)
    #expect(throws: ShelfError.tooLarge(model: "b", bytes: 9, budget: 8)) { _ = try use(shelf, "b") }
    #expect(try use(shelf, "a").name == "a")
  }

  @Test("an encoder and a language model in one server, loaded when asked for")
  func both() throws {
    let running = try RunningServer(others: [RunningServer.encoder()])
    #expect(!running.server.shelf.isLoaded("encoder"))
    let golden = try Goldens.json("models/bert-tiny/embedding-golden.json")
    let sentence = try #require(golden["sentences"]?.array?.first?.string)
    let want = try Array(Goldens.floats("models/bert-tiny/sentence-vectors.bin").prefix(32))
    let answer = try running.post(
      "/v1/embeddings",
      JSONValue.object(JSONObject([("model", "encoder"), ("input", .string(sentence))])).encoded())
    let vector = try #require(try answer.json["data"]?.array?[0]["embedding"]?.array).map { Float($0.double ?? .nan) }
    #expect(vector.count == 32 && zip(vector, want).allSatisfy { abs($0 - $1) < 1e-5 })
    #expect(
      try running.post("/v1/completions", #"{"model":"encoder","prompt":"x"}"#).error == (400, "model", "invalid_value")
    )
  }
}
