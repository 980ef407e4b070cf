import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@testable import AngelHCF
@testable import AngelModels

/// The promise of the batch: an answer has the tokens and log-probabilities it has alone, bit for bit.
@Suite("Answers do not depend on their neighbours")
struct BatchInvarianceTests {
  static let dtypes: [DType] = [
    .q4_0, .q4_1, .q5_0, .q8_0, .q4_K, .q6_K, .q2_K, .iq4_NL, .bfloat16, .float16, .float32,
  ]

  @Test("alone and among 31 others, preempted, cached, in chunks of any size: every weight format", arguments: dtypes)
  func formats(_ format: DType) throws {
    let backend = try CPUBackend(pool: PagePool(budget: 128 << 20), threadCount: 2)
    var model = LlamaModel(Self.tinyLlama)
    let arithmetic: Arithmetic = format == .float32 ? .f32 : .fast
    try ParameterFiller(dtype: format, on: backend, arithmetic: arithmetic).fill(&model)
    try Self.expectInvariance(of: model, on: backend, count: 32, "\(format)")
  }

  @Test(
    "caches of few bits", arguments: [DType.q8_0, .q4_0],
    ["llama-tiny", "gemma3_text-tiny/gemma3_text-tiny-fields-Q8_0.gguf"])
  func caches(_ cache: DType, _ path: String) throws {
    let backend = try CPUBackend(pool: PagePool(budget: 128 << 20), threadCount: 2)
    let checkpoint = try Checkpoint.open(Goldens.path("models/" + path))
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .fast))
    try Self.expectInvariance(of: model, on: backend, count: 16, path, cache: cache)
  }

  @Test(
    "families: grouped experts, windows, caps, learned positions, frequencies that depend on the length",
    arguments: [
      "llama-tiny", "qwen3_moe-tiny/qwen3_moe-tiny-Q8_0.gguf", "hunyuan_v1_moe-tiny/hunyuan_v1_moe-tiny-F16.gguf",
      "mixtral-tiny", "gemma2-tiny", "gemma3_text-tiny/gemma3_text-tiny-fields-Q8_0.gguf", "gpt2-tiny",
      "mistral-tiny/mistral-tiny-window-Q8_0.gguf", "phi3-tiny", "phi3-tiny-longrope", "llama-tiny-dynamic",
      "llama-tiny-longrope", "qwen2-tiny-window",
    ])
  func families(_ path: String) throws {
    let backend = try CPUBackend(pool: PagePool(budget: 128 << 20), threadCount: 2)
    let checkpoint = try Checkpoint.open(Goldens.path("models/" + path))
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .fast))
    try Self.expectInvariance(of: model, on: backend, count: 16, path)
  }

  @Test("a beginning in common that is longer than a split of positions is read once for all, with the same bits")
  func longBeginning() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 128 << 20), threadCount: 2)
    var configuration = Self.tinyLlama
    configuration.contextLength = 512
    var model = LlamaModel(configuration)
    try ParameterFiller(dtype: .q4_0, on: backend, arithmetic: .fast).fill(&model)
    // 300 positions in common: one whole split of 256 that rows share, and one that they do not.
    let requests = Self.requests(12, vocabularySize: 259, 400, openingLength: 300)
    var options = ServingOptions()
    options.engine.contextLength = 400
    options.engine.chunkLength = 64
    options.sequenceLimit = 12
    options.cacheTokens = 12 * 400
    let engine = try InferenceEngine(model, on: backend, pool: backend.pool, options: options.engine)
    let alone = try requests.map { try Self.answer($0, engine) }
    let loop = try ServingLoop(model, tokenizer: nil, endTokens: [], on: backend, pool: backend.pool, options: options)
    let logs = try requests.enumerated().map { index, request in
      let log = EventLog()
      try loop.submit(request, id: UInt64(index + 1)) { log.add($0) }
      // The first leaves its blocks to the others.
      if index == 0 { for _ in 0..<6 { loop.runStep() } }
      return log
    }
    while !loop.isIdle { loop.runStep() }
    for (index, log) in logs.enumerated() {
      #expect(log.failure == nil && log.sampled() == alone[index], "request \(index)")
    }
    #expect(loop.statistics.prefixHitTokens >= 5 * 288)
  }

  @Test(
    "prompts that choose what they see: alone, in chunks beside others, cached and preempted",
    arguments: [DType.float16, .q4_0])
  func sparsePrompts(_ cache: DType) throws {
    let backend = try CPUBackend(pool: PagePool(budget: 128 << 20), threadCount: 2)
    var configuration = Self.tinyLlama
    configuration.contextLength = 512
    var model = LlamaModel(configuration)
    try ParameterFiller(dtype: .q4_0, on: backend, arithmetic: .fast).fill(&model)
    let requests = Self.requests(12, vocabularySize: 259, 400, openingLength: 300)
    var options = ServingOptions()
    options.engine.contextLength = 400
    options.engine.cacheDType = cache
    let dense = try InferenceEngine(model, on: backend, pool: backend.pool, options: options.engine)
    options.engine.sparsePrefill = SparsePrefill(share: 0.5, firstPosition: 200)
    let engine = try InferenceEngine(model, on: backend, pool: backend.pool, options: options.engine)
    let alone = try requests.map { try Self.answer($0, engine) }
    #expect(try Self.answer(requests[2], dense) != alone[2])
    var preemptions = 0
    for (rows, cacheTokens) in [(64, 4800), (33, 432), (1, 1200)] {
      options.engine.chunkLength = rows
      options.sequenceLimit = min(12, rows)
      options.cacheTokens = cacheTokens
      let loop = try ServingLoop(
        model, tokenizer: nil, endTokens: [], on: backend, pool: backend.pool, options: options)
      let logs = try requests.enumerated().map { index, request in
        let log = EventLog()
        try loop.submit(request, id: UInt64(index + 1)) { log.add($0) }
        if index % 3 == 0 { for _ in 0..<6 { loop.runStep() } }
        return log
      }
      while !loop.isIdle { loop.runStep() }
      for (index, log) in logs.enumerated() {
        #expect(log.failure == nil && log.sampled() == alone[index], "request \(index), \(rows) rows")
      }
      // The next turn of a conversation finds the prompt, and computes the answer before it as its own.
      var turn = requests[2]
      turn.prompt += alone[2].map { Int32($0.token) } + requests[3].prompt.prefix(20)
      turn.sampling.maxTokens = 3
      let log = EventLog()
      try loop.submit(turn, id: 99) { log.add($0) }
      while !loop.isIdle { loop.runStep() }
      #expect(log.sampled() == (try Self.answer(turn, engine)))
      #expect(loop.statistics.prefixHitTokens > 0)
      preemptions += loop.statistics.preemptions
    }
    #expect(preemptions > 0)
  }

  private static var tinyLlama: LlamaConfiguration {
    var result = LlamaConfiguration()
    result.vocabularySize = 300
    result.hiddenSize = 256
    result.layerCount = 2
    result.headCount = 4
    result.keyValueHeadCount = 2
    result.headSize = 64
    result.innerSize = 256
    result.contextLength = 256
    result.tiesEmbeddings = true
    return result
  }

  /// Answers `count` requests one by one on the engine for one stream, and together in several ways on the serving loop.
  private static func expectInvariance(
    of model: any LanguageModel, on backend: CPUBackend, count: Int, _ name: String, cache: DType = .float16
  ) throws {
    let contextLength = min(model.configuration.contextLength, 96)
    let requests = requests(count, vocabularySize: min(model.configuration.vocabularySize, 259), contextLength)
    var engineOptions = EngineOptions()
    engineOptions.contextLength = contextLength
    engineOptions.cacheDType = cache
    let engine = try InferenceEngine(model, on: backend, pool: backend.pool, options: engineOptions)
    let alone = try requests.map { try answer($0, engine) }
    var preemptions = 0
    for (rows, blocks, shares) in [(16, 8, true), (64, 12, false), (512, 6 * count, true)] {
      var options = ServingOptions()
      options.engine = engineOptions
      options.engine.chunkLength = rows
      options.sequenceLimit = min(count, rows)
      options.cacheTokens = 16 * blocks
      options.sharesPrefixes = shares
      let loop = try ServingLoop(
        model, tokenizer: nil, endTokens: [], on: backend, pool: backend.pool, options: options)
      for round in 0..<2 {
        let logs = try requests.enumerated().map { index, request in
          let log = EventLog()
          try loop.submit(request, id: UInt64(round * count + index + 1)) { log.add($0) }
          // Others join while the first are under way.
          if index % 5 == 4 { loop.runStep() }
          return log
        }
        while !loop.isIdle { loop.runStep() }
        for (index, log) in logs.enumerated() {
          #expect(log.failure == nil)
          #expect(log.sampled() == alone[index], "\(name), \(rows) rows, request \(index) in round \(round)")
        }
      }
      #expect((loop.statistics.prefixHitTokens > 0) == shares || model.configuration.rotaryScaling.uniformLength < 40)
      preemptions += loop.statistics.preemptions
      try loop.blocks.checkInvariants(users: [])
    }
    #expect(preemptions > 0, "the smaller caches are meant to be too small")
  }

  /// Prompts of all lengths, half of them with a common beginning; greedy, drawn and penalised.
  private static func requests(
    _ count: Int, vocabularySize: Int, _ contextLength: Int, openingLength: Int = 37
  ) -> [ServingRequest] {
    var random = SeededRandom(seed: 11)
    func tokens(_ count: Int) -> [Int32] {
      (0..<count).map { _ in Int32.random(in: 0..<Int32(vocabularySize), using: &random) }
    }
    let opening = tokens(openingLength)
    return (0..<count).map { index in
      let prompt = (index % 2 == 0 ? opening : []) + tokens(1 + index * 13 % 40)
      var request = ServingRequest(prompt: Array(prompt.prefix(contextLength - 1)), sampling: .greedy)
      request.sampling.maxTokens = 12
      request.sampling.logprobs = 2
      // Later ones take the places of earlier ones.
      request.priority = -(index % 4)
      guard index % 3 > 0 else { return request }
      request.sampling.temperature = 0.9
      request.sampling.topP = 0.95
      request.sampling.seed = index
      if index % 3 == 2 { request.sampling.repetitionPenalty = 1.3 }
      return request
    }
  }

  /// The answer to a request that is the only one.
  private static func answer(_ request: ServingRequest, _ engine: InferenceEngine) throws -> [SampledToken] {
    var sampler = try Sampler(
      parameters: request.sampling, promptTokens: request.prompt.map(Int.init), vocabularySize: engine.vocabularySize)
    let sequence = engine.makeSequence()
    var (pending, answer) = (request.prompt, [SampledToken]())
    let limit = min(request.sampling.maxTokens ?? 0, engine.contextLength - request.prompt.count)
    while answer.count < limit {
      let logits = try engine.logits(after: pending, in: sequence)
      let token = try logits.withUnsafeBufferPointer { try sampler.sample($0, step: answer.count) }
      answer.append(token)
      pending = [Int32(token.token)]
    }
    return answer
  }
}

extension ServingLoop {
  /// Takes a request without a door in front.
  func submit(
    _ request: ServingRequest, id: UInt64, adapter: PlacedAdapter? = nil,
    onEvent: @escaping @Sendable (ServingEvent) -> Void
  ) throws {
    let sampler = try Sampler(
      parameters: request.sampling, promptTokens: request.prompt.lazy.map(Int.init),
      vocabularySize: settings.vocabularySize)
    submit(
      Submission(
        id: id, prompt: request.prompt, queuedTokens: 0, begin: .now,
        content: .answers(request, seed: sampler.seed, onEvent: onEvent), sampler: sampler,
        adapter: adapter))
  }
}
