import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelNN
import AngelTesting
import Testing

@testable import AngelHCF

@Suite("The memory plan for many requests")
struct ServingPlanTests {
  @Test(
    "batches of all sizes keep to it, recorded steps and adapters included",
    arguments: [
      ("llama-tiny", 0), ("qwen3_moe-tiny", 0), ("gemma3_text-tiny", 0), ("llama-tiny", 3), ("gemma3_text-tiny", 2),
    ])
  func holds(_ model: String, adapters: Int) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/" + model))
    let pool = try PagePool(budget: 64 << 20)
    let backend = try CPUBackend(pool: pool, threadCount: 2)
    var options = ServingOptions()
    options.engine.contextLength = 64
    options.engine.chunkLength = 48
    options.sequenceLimit = 6
    options.cacheTokens = 256
    options.adapterLimit = adapters
    options.adapterBytes = adapters << 20
    let plan = try ModelPlan(checkpoint, arithmetic: .fast, serving: options, budget: pool.budget)
    let loaded = try LoadedLanguageModel(checkpoint, on: backend, arithmetic: .fast)
    let loop = try ServingLoop(
      loaded.model, tokenizer: nil, endTokens: [], on: backend, pool: pool, options: options)
    let all = try (0..<adapters).compactMap { try loop.adapters?.addRandom(rank: 8, seed: UInt64($0)).adapter }
    for number in 0..<18 {
      var request = ServingRequest(prompt: (0...number * 2).map { Int32($0 % 250) }, sampling: .greedy(3 + number % 7))
      if number % 4 == 0 { request.promptLogprobs = 1 }
      let adapter = number % 4 < all.count ? all[number % 4] : nil
      try loop.submit(request, id: UInt64(number + 1), adapter: adapter) { _ in }
    }
    while !loop.isIdle { loop.runStep() }
    let usage = pool.usage
    #expect(usage[.weights].byteCount <= plan.bytes[.weights] ?? 0)
    #expect(usage[.activations].peakByteCount <= plan.bytes[.activations] ?? 0)
    #expect(usage[.workspace].peakByteCount <= plan.bytes[.workspace] ?? 0)
    #expect(usage[.keyValueCache].byteCount <= Page.byteCount && usage[.keyValueCache].byteCount > 0)
    #expect(plan.cacheTokens == 256)
  }

  @Test("without a size of its own the cache takes what the budget has room for, one context to four")
  func automatic() throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/llama-tiny"))
    func plan(_ budget: Int) throws -> ModelPlan {
      try ModelPlan(checkpoint, arithmetic: .fast, serving: ServingOptions(), budget: budget)
    }
    #expect(try plan(1 << 30).cacheTokens == 4 * 256)
    #expect(try plan(1 << 20).cacheTokens == 256)
  }

  @Test(
    "a cache of few bits is planned at its bytes, in whole bundles of 32 elements",
    arguments: zip([DType.q8_0, .q4_0, .float16], [34, 18, 32]))
  func fewBits(_ dtype: DType, _ headBytes: Int) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/llama-tiny"))
    var options = ServingOptions()
    options.engine.cacheDType = dtype
    options.cacheTokens = 512
    let plan = try ModelPlan(checkpoint, arithmetic: .fast, serving: options, budget: 1 << 30)
    // Keys and values of two layers with two heads of 16.
    #expect(plan.bytes[.keyValueCache] == 512 * 2 * 2 * 2 * headBytes)
  }
}
