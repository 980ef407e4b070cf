import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@testable import AngelHCF

@Suite("Sparse prefill")
struct SparsePrefillTests {
  private let prompt = (0..<250).map { Int32(($0 * 37 + 11) % 259) }
  private let sparse = SparsePrefill(share: 0.5, firstPosition: 150)

  @Test("the slice's positions that choose are those of the prompt from the first on")
  func positions() {
    func choosing(_ start: Int, _ count: Int, _ promptEnd: Int) -> Range<Int> {
      var slice = SequenceSlice(tokens: [Int32](repeating: 0, count: count), start: start, blocks: [])
      slice.promptEnd = promptEnd
      return sparse.positions(of: slice)
    }
    #expect(choosing(0, 150, 150).isEmpty)
    #expect(choosing(0, 200, 200) == 150..<200)
    #expect(choosing(160, 20, 170) == 160..<170)
    #expect(choosing(170, 1, 170).isEmpty)
    #expect(choosing(300, 20, 200).isEmpty)
  }

  @Test(
    "logits are the same in chunks of any size and on any number of threads", arguments: [DType.float32, .q8_0, .q4_0])
  func chunks(_ cache: DType) throws {
    func rows(_ chunk: Int, _ threads: Int, _ sparse: SparsePrefill?) throws -> [[Float]] {
      try makeSession(threads: threads) {
        ($0.chunkLength, $0.cacheDType, $0.sparsePrefill) = (chunk, cache, sparse)
      }.engine.rows(prompt)
    }
    let whole = try rows(512, 1, sparse)
    for (chunk, threads) in [(7, 1), (16, 2), (100, 3), (1, 1)] { #expect(try rows(chunk, threads, sparse) == whole) }
    let dense = try rows(512, 1, nil)
    #expect(whole[..<150] == dense[..<150])
    #expect(whole != dense)
    #expect(try rows(512, 1, SparsePrefill(share: 1, firstPosition: 150)) == dense)
  }

  @Test("layers with windows see what they did: a model that has no others gives the bits of dense prefill")
  func windows() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let checkpoint = try Checkpoint.open(
      Goldens.path("models/mistral-tiny/mistral-tiny-window-Q8_0.gguf"))
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .fast))
    let prompt = prompt.prefix(min(250, model.configuration.contextLength)).map {
      $0 % Int32(model.configuration.vocabularySize)
    }
    var options = EngineOptions()
    let dense = try InferenceEngine(model, on: backend, pool: backend.pool, options: options).rows(prompt)
    options.sparsePrefill = SparsePrefill(share: 0.5, firstPosition: 0)
    #expect(try InferenceEngine(model, on: backend, pool: backend.pool, options: options).rows(prompt) == dense)
  }

  @Test("a context beyond what prompts can choose from is refused")
  func limit() throws {
    var options = EngineOptions()
    options.sparsePrefill = sparse
    options.contextLength = 200_000
    var configuration = LlamaConfiguration()
    configuration.contextLength = 1 << 20
    #expect(throws: EngineError.contextTooSparse(requested: 200_000, limit: 131_072)) {
      try options.contextLength(for: configuration)
    }
  }

  @Test("the plan has room for what choosing takes", arguments: [false, true])
  func plan(_ isServing: Bool) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/llama-tiny"))
    func workspace(_ sparse: SparsePrefill?) throws -> Int {
      var options = ServingOptions()
      options.engine.sparsePrefill = sparse
      options.sequenceLimit = 4
      let plan =
        isServing
        ? try ModelPlan(checkpoint, arithmetic: .fast, serving: options, budget: 1 << 30)
        : try ModelPlan(checkpoint, arithmetic: .fast, options: options.engine)
      return plan.bytes[.workspace] ?? 0
    }
    // One span of 16 blocks: two heads of 16 of each sequence, greatest and least of 16 lanes.
    #expect(try workspace(sparse) - workspace(nil) >= (isServing ? 4 : 1) * 2 * 2 * 16 * 16 * 4)
  }
}
