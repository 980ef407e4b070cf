import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelNN
import AngelTesting
import Testing

/// The real all-MiniLM-L6-v2 against transformers, where the model is in the store.
@Suite("MiniLM equals transformers", .enabled(if: MiniLM.path != nil, MiniLM.notice))
struct MiniLMTests {
  @Test("tokens and vectors of ten sentences, float32")
  func vectors() throws {
    let golden = try Goldens.json("models/minilm/embedding-golden.json")
    let want = try Goldens.floats("models/minilm/vectors.bin")
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 30))
    let embedder = try TextEmbedder(
      Checkpoint.open(#require(MiniLM.path)), on: backend, pool: backend.pool, arithmetic: .f32)
    #expect(embedder.engine.longest == 256)
    let sentences = try #require(golden["sentences"]?.array).compactMap(\.string)
    #expect(try sentences.map(embedder.tokens) == golden["texts"]?.array?.compactMap(\.tokens))
    let got = try embedder.vectors(of: sentences).flatMap { $0 }
    let worst = zip(got, want).map { abs($0 - $1) }.max() ?? .infinity
    #expect(got.count == want.count && worst < 1e-5)
  }

  @Test("the memory plan is checked before anything is read")
  func memory() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20))
    let checkpoint = try Checkpoint.open(#require(MiniLM.path))
    #expect(throws: EngineError.self) { try TextEmbedder(checkpoint, on: backend, pool: backend.pool) }
  }
}

enum MiniLM {
  static let notice: Comment = "needs the model: angel pull minilm"
  static let path = (try? ModelStore(environment: .current()).stored("minilm"))?.path
}
