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
  @Test("vectors of ten sentences in one step, float32")
  func vectors() throws {
    let golden = try Goldens.json("models/minilm/embedding-golden.json")
    let texts = try #require(golden["texts"]?.array).compactMap(\.tokens)
    let want = try Goldens.floats("models/minilm/vectors.bin")
    let checkpoint = try Checkpoint.open(#require(MiniLM.path))
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 30))
    let entry = try ModelCatalog.textEncoder(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    let engine = EncoderEngine(model, pooling: try checkpoint.sentencePooling(), on: backend)
    #expect(engine.longest == 256)
    let got = try engine.vectors(of: texts).flatMap { $0 }
    let worst = zip(got, want).map { abs($0 - $1) }.max() ?? .infinity
    #expect(got.count == want.count && worst < 1e-5)
  }
}

enum MiniLM {
  static let notice: Comment = "needs the model: angel pull minilm"
  static let path = (try? ModelStore(environment: .current()).stored("minilm"))?.path
}
