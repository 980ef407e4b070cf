public import AngelCore
public import AngelMemory
public import AngelModels
public import AngelNN
public import AngelTensor

/// How an engine is set up.
public struct EngineOptions: Sendable {
  /// The most tokens a sequence may have; nil: as many as the model was made for, at most 8192.
  public var contextLength: Int?
  /// What keys and values are kept in: float32, float16, bfloat16, or of few bits: `q8_0` or `q4_0`.
  public var cacheDType: DType = .float16
  /// The most tokens of a prompt that run in one step, at least 1.
  public var chunkLength = 512
  /// How long prompts choose what they see; nil: they see everything.
  public var sparsePrefill: SparsePrefill?
  /// Those who run the same with the other parts of each layer, token by token; nil: the model is whole.
  public var peers: (any LayerPeers)?

  public init() {}

  /// The context for a model: what was asked for, if the model supports it.
  func contextLength(for configuration: any LanguageModelConfiguration) throws(EngineError) -> Int {
    guard let contextLength else { return min(configuration.contextLength, 8192) }
    guard contextLength <= configuration.contextLength else {
      throw .contextTooLong(requested: contextLength, supported: configuration.contextLength)
    }
    guard sparsePrefill == nil || contextLength <= BlockChoice.positionLimit else {
      throw .contextTooSparse(requested: contextLength, limit: BlockChoice.positionLimit)
    }
    return max(1, contextLength)
  }
}

/// Runs a language model over one sequence at a time: prompts in chunks, then token by token, over a paged cache.
///
/// Not thread-safe: one owner drives it, and its thread is the first worker of the backend's pool.
public final class InferenceEngine {
  public let model: any LanguageModel
  /// The most tokens of a sequence.
  public let contextLength: Int
  private let backend: any Backend
  private let cache: KeyValueCache
  private let runner: StepRunner
  /// Runs the model without some of its layers, once asked to.
  private var guessingRunner: (runner: StepRunner, skipped: Range<Int>)?
  private let chunkLength: Int
  private let peers: (any LayerPeers)?
  /// Asked between steps; true ends the work with `Interrupted`.
  public var isInterrupted: () -> Bool = { false }

  /// An engine over a loaded model whose cache comes from `pool`.
  public init(_ model: any LanguageModel, on backend: any Backend, pool: PagePool, options: EngineOptions = .init())
    throws(EngineError)
  {
    self.model = model
    self.backend = backend
    contextLength = try options.contextLength(for: model.configuration)
    chunkLength = max(1, options.chunkLength)
    peers = options.peers
    cache = KeyValueCache(
      geometry: model.configuration.cacheGeometry.part(of: peers?.count ?? 1), dtype: options.cacheDType,
      tokenLimit: contextLength, pool: pool)
    runner = StepRunner(
      model, cache: cache, contextLength: contextLength, recordedRows: SpeculationDepth.recordedRows,
      sparsePrefill: options.sparsePrefill, on: backend)
  }

  /// Bytes that `tokens` tokens of one sequence take in the cache, whole blocks counted by their part; of several processes,
  /// this one's.
  public func cacheBytes(of tokens: Int) -> Int {
    cache.geometry.spanBytes(cache.dtype) / CacheGeometry.blockTokens * tokens
  }

  /// The size of the vocabulary.
  public var vocabularySize: Int { model.configuration.vocabularySize }

  /// A sequence without tokens.
  public func makeSequence() -> CachedSequence { CachedSequence(cache) }

  /// Appends tokens to a sequence, in chunks.
  ///
  /// - Parameter visit: called with each chunk's final hidden states [R, width], a row a token, and which of `tokens` they
  ///   belong to.
  /// - Throws: `EngineError` before anything runs when a token or the length is out of range; memory and device failures,
  ///   after which the sequence holds the chunks that were finished.
  public func append(
    _ tokens: [Int32], to sequence: CachedSequence, visit: (Tensor, Range<Int>) throws -> Void = { _, _ in }
  ) throws {
    try append(tokens, to: sequence, isPrompt: true, visit: visit)
  }

  private func append(
    _ tokens: [Int32], to sequence: CachedSequence, isPrompt: Bool, visit: (Tensor, Range<Int>) throws -> Void
  ) throws {
    try check(tokens, sequence)
    let total = sequence.count + tokens.count
    try cache.reserve(total, in: sequence)
    for start in stride(from: 0, to: tokens.count, by: chunkLength) {
      if isInterrupted() { throw Interrupted() }
      let range = start..<min(start + chunkLength, tokens.count)
      let chunk = Array(tokens[range])
      let slice = SequenceSlice(
        tokens: chunk, start: sequence.count, blocks: cache.tables(of: sequence), promptEnd: isPrompt ? total : 0)
      let own = runner.hidden(of: [slice], sequenceLength: total)
      let hidden = peers?.gather(own) ?? own
      try peers?.check()
      try visit(hidden, range)
      try backend.synchronize()
      sequence.tokens += chunk
    }
  }

  /// Appends tokens and returns the logits after the last of them, `vocabularySize` values.
  public func logits(after tokens: [Int32], in sequence: CachedSequence) throws -> [Float] {
    try lastLogits(1, after: tokens, in: sequence).read()
  }

  /// Appends tokens; the logits [count, vocabulary] after the last `count` of them are good until the next step.
  ///
  /// More than one takes tokens that `canDecode` in one step.
  func lastLogits(_ count: Int, after tokens: [Int32], in sequence: CachedSequence) throws -> Tensor {
    if tokens.count == count, canDecode(count, in: sequence) { return try decode(tokens, in: sequence) }
    precondition(count == 1, "logits after \(count) of \(tokens.count) tokens")
    var last: Tensor?
    // A token that could be decoded is an answer's, whichever way it runs.
    try append(tokens, to: sequence, isPrompt: tokens.count > count) { hidden, range in
      if range.upperBound == tokens.count { last = hidden.prefix((range.count - 1)..<range.count) }
    }
    guard let last else { throw EngineError.emptyPrompt }
    return model.logits(of: last)
  }

  /// Appends tokens and calls `visit` with the logits after each, `vocabularySize` values, first position first.
  public func allLogits(
    after tokens: [Int32], in sequence: CachedSequence, visit: (UnsafeBufferPointer<Float>) throws -> Void
  ) throws {
    let vocabularySize = vocabularySize
    try append(tokens, to: sequence) { hidden, _ in
      // A few rows at a time: the logits of 512 positions would take 100 MB and more.
      for start in stride(from: 0, to: hidden.shape[0], by: 32) {
        let rows = hidden.prefix(start..<min(start + 32, hidden.shape[0]))
        let values: [Float] = try model.logits(of: rows).read()
        try values.withUnsafeBufferPointer { buffer in
          for row in 0..<rows.shape[0] {
            try visit(UnsafeBufferPointer(rebasing: buffer[(row * vocabularySize)..<((row + 1) * vocabularySize)]))
          }
        }
      }
    }
  }

  /// Whether a sequence may be continued by `count` tokens in one recorded step: it has room, and the step does not depend on
  /// the length of the sequence in more than its tables. What is sent to peers cannot be recorded.
  func canDecode(_ count: Int, in sequence: CachedSequence) -> Bool {
    peers == nil && sequence.count + count <= min(contextLength, model.configuration.rotaryScaling.uniformLength)
  }

  /// Appends a few tokens by a recorded step; the logits [R, vocabulary] after each of them are good until the next step.
  ///
  /// - Parameter skippedLayers: with any, the logits are guesses, and so is what the cache then holds of these tokens: they
  ///   are to be cut off again.
  func decode(_ tokens: [Int32], in sequence: CachedSequence, skippedLayers: Range<Int> = 0..<0) throws -> Tensor {
    try check(tokens, sequence)
    if isInterrupted() { throw Interrupted() }
    try cache.reserve(sequence.count + tokens.count, in: sequence)
    let slice = SequenceSlice(tokens: tokens, start: sequence.count, blocks: cache.tables(of: sequence))
    let logits = try runner(skipping: skippedLayers).decode([slice])
    sequence.tokens += tokens
    return logits
  }

  private func runner(skipping layers: Range<Int>) -> StepRunner {
    if layers.isEmpty { return runner }
    if let guessingRunner, guessingRunner.skipped == layers { return guessingRunner.runner }
    let runner = StepRunner(
      model, cache: cache, contextLength: contextLength, recordedRows: 1, skippedLayers: layers, on: backend)
    guessingRunner = (runner, layers)
    return runner
  }

  private func check(_ tokens: [Int32], _ sequence: CachedSequence) throws(EngineError) {
    for token in tokens where token < 0 || Int(token) >= vocabularySize {
      throw .tokenOutOfRange(token: token, vocabularySize: vocabularySize)
    }
    guard sequence.count + tokens.count <= contextLength else {
      throw .contextExceeded(tokens: tokens.count, held: sequence.count, limit: contextLength)
    }
  }
}
