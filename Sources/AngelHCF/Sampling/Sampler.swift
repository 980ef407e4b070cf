import AngelCore
public import AngelGrammar

/// Chooses a request's next tokens from logits, one request by itself.
///
/// Tokens outside a mask count as impossible before everything else. Then the order is that of vLLM (v1 `Sampler`): logit bias; repetition, frequency and presence penalty; greedy choice, or
/// temperature, min-p, top-k, top-p and a draw. Probabilities are renormalised before top-p and before the draw.
/// Log-probabilities are those of the logits as the model gave them, of the tokens that a mask allows where there is one.
///
/// A draw depends on the seed and the step alone (Philox, counter-based), and becomes a token by walking the kept
/// tokens by rising id; so an answer does not depend on batch mates, threads or a restart. Greedy ties go to the
/// lowest id.
public struct Sampler: Sendable {
  public let parameters: SamplingParameters
  public let vocabularySize: Int
  /// The seed in use: `parameters.seed`, or the random one taken in its place, below 2^53.
  public let seed: Int
  private let random: PhiloxGenerator
  private var history: TokenHistory
  private var adjusted: [Float] = []
  private var weights: [Float] = []
  private var masked: [Float] = []

  /// A sampler for one answer to `promptTokens`. `stream` tells apart several answers to one request.
  public init(
    parameters: SamplingParameters, promptTokens: some Sequence<Int>, vocabularySize: Int, stream: UInt64 = 0
  ) throws(SamplingError) {
    try parameters.validate()
    precondition(vocabularySize > 0, "a vocabulary of \(vocabularySize) tokens")
    for token in parameters.logitBias.keys.sorted() where token >= vocabularySize {
      throw .unknownToken(field: "logitBias", token: token, vocabularySize: vocabularySize)
    }
    self.parameters = parameters
    self.vocabularySize = vocabularySize
    seed = parameters.seed ?? Int.random(in: 0..<1 << 53)
    random = PhiloxGenerator(seed: UInt64(bitPattern: Int64(seed)), stream: stream)
    history = TokenHistory()
    // Only the repetition penalty looks at the prompt.
    if parameters.repetitionPenalty != 1 {
      for token in promptTokens {
        guard token >= 0, token < vocabularySize else {
          throw .unknownToken(field: "the prompt", token: token, vocabularySize: vocabularySize)
        }
        history.notePrompt(token)
      }
    }
  }

  /// Chooses the token of `step` (0 for the first of the answer) and notes it for the penalties of later steps.
  ///
  /// - Parameters:
  ///   - logits: [V], float32; −infinity excludes a token.
  ///   - mask: the tokens that may be chosen; nil: all.
  public mutating func sample(
    _ logits: UnsafeBufferPointer<Float>, step: Int, allowing mask: TokenMask? = nil
  ) throws(SamplingError) -> SampledToken {
    guard logits.count == vocabularySize else {
      throw .wrongCount(logits: logits.count, vocabularySize: vocabularySize)
    }
    guard let mask else { return try sampleAny(logits, step: step) }
    // Moved out for the time of the call, so that reading it and changing the other buffers do not overlap.
    var values = masked
    masked = []
    defer { masked = values }
    mask.apply(to: logits, into: &values)
    return try values.withUnsafeBufferPointer { values throws(SamplingError) in try sampleAny(values, step: step) }
  }

  private mutating func sampleAny(
    _ logits: UnsafeBufferPointer<Float>, step: Int
  ) throws(SamplingError) -> SampledToken {
    let maximum = try Self.maximum(of: logits, step: step)
    let token = try choose(logits, maximum: maximum, step: step)
    if parameters.usesAnswerPenalties { history.noteGenerated(token) }
    return reported(token, logits, maximum: maximum)
  }

  /// Chooses from logits in a span.
  public mutating func sample(_ logits: Span<Float>, step: Int) throws(SamplingError) -> SampledToken {
    try logits.withUnsafeBufferPointer { buffer throws(SamplingError) in try sample(buffer, step: step) }
  }

  /// Notes a token that was not chosen here (a forced or resumed one), for the penalties.
  public mutating func note(generated token: Int) {
    precondition(token >= 0 && token < vocabularySize, "token \(token) of \(vocabularySize)")
    if parameters.usesAnswerPenalties { history.noteGenerated(token) }
  }

  // MARK: Steps

  fileprivate static func maximum(of logits: UnsafeBufferPointer<Float>, step: Int) throws(SamplingError) -> Float {
    switch LogitScan.extreme(of: logits) {
    case .damaged(let position): throw .notANumber(token: position, value: "\(logits[position])", step: step)
    case .maximum(let value) where value == -.infinity: throw .noTokenPossible(step: step)
    case .maximum(let value): return value
    }
  }

  private mutating func choose(
    _ logits: UnsafeBufferPointer<Float>, maximum: Float, step: Int
  ) throws(SamplingError) -> Int {
    guard !parameters.logitBias.isEmpty || !history.isEmpty else { return pick(logits, maximum, step) }
    // Moved out as above.
    var values = adjusted
    adjusted = []
    defer { adjusted = values }
    values.removeAll(keepingCapacity: true)
    values.append(contentsOf: logits)
    adjust(&values)
    return try values.withUnsafeBufferPointer { buffer throws(SamplingError) in
      guard case .maximum(let largest) = LogitScan.extreme(of: buffer) else { throw .overflow(step: step) }
      guard largest > -.infinity else { throw .noTokenPossible(step: step) }
      return pick(buffer, largest, step)
    }
  }

  /// Bias, then repetition, frequency and presence penalty.
  private func adjust(_ values: inout [Float]) {
    for (token, bias) in parameters.logitBias { values[token] += bias }
    for (token, count) in history.counts {
      let value = values[token]
      let repeated = value > 0 ? value / parameters.repetitionPenalty : value * parameters.repetitionPenalty
      let frequency = parameters.frequencyPenalty * Float(count)
      values[token] = repeated - frequency - (count > 0 ? parameters.presencePenalty : 0)
    }
  }

  private mutating func pick(_ logits: UnsafeBufferPointer<Float>, _ maximum: Float, _ step: Int) -> Int {
    if parameters.isGreedy { return LogitScan.firstPosition(of: maximum, in: logits) }
    let kept = truncated(logits, maximum: maximum)
    return kept.token(at: random.uniformDouble(atBlock: UInt64(truncatingIfNeeded: step)))
  }

  /// The tokens left by min-p, top-k and top-p with their weights.
  mutating func truncated(_ logits: UnsafeBufferPointer<Float>, maximum: Float) -> KeptTokens {
    if parameters.topK > 0, parameters.topK < logits.count {
      return truncatedToTopK(logits, maximum: maximum)
    }
    var all = weights
    weights = []
    if all.count != logits.count { all = [Float](repeating: 0, count: logits.count) }
    all.withUnsafeMutableBufferPointer {
      LogitScan.weights(of: logits, maximum: maximum, temperature: parameters.temperature, into: $0)
    }
    var kept = KeptTokens(tokens: nil, weights: all)
    // The copy kept for the next step gives up its storage when `kept` is cut down, and shares it otherwise.
    if parameters.minP > 0 { kept.keep { [minP = parameters.minP] weight, _ in weight >= minP } }
    kept.keepNucleus(parameters.topP)
    weights = all
    return kept
  }

  /// Both are thresholds on the same order, so top-k first and min-p after it keeps the same tokens with less work.
  private func truncatedToTopK(_ logits: UnsafeBufferPointer<Float>, maximum: Float) -> KeptTokens {
    let threshold = TopSelection.largest(parameters.topK, of: logits)
    var tokens: [Int32] = []
    var values: [Float] = []
    for token in logits.indices where logits[token] >= threshold {
      tokens.append(Int32(token))
      values.append(logits[token])
    }
    var weights = [Float](repeating: 0, count: values.count)
    values.withUnsafeBufferPointer { values in
      weights.withUnsafeMutableBufferPointer {
        LogitScan.weights(of: values, maximum: maximum, temperature: parameters.temperature, into: $0)
      }
    }
    var kept = KeptTokens(tokens: tokens, weights: weights)
    if parameters.minP > 0 { kept.keep { [minP = parameters.minP] weight, _ in weight >= minP } }
    kept.keepNucleus(parameters.topP)
    return kept
  }

  private func reported(_ token: Int, _ logits: UnsafeBufferPointer<Float>, maximum: Float) -> SampledToken {
    guard let count = parameters.logprobs else { return SampledToken(token: token) }
    return SampledToken(token, withLikeliest: count, of: logits, maximum: maximum)
  }
}

extension SampledToken {
  /// A token with its log-probability and the `count` likeliest, under the distribution of `logits` [V].
  ///
  /// Throws `SamplingError` where the logits are no numbers.
  init(
    _ token: Int, withLikeliest count: Int, of logits: UnsafeBufferPointer<Float>, step: Int
  ) throws(SamplingError) {
    self.init(token, withLikeliest: count, of: logits, maximum: try Sampler.maximum(of: logits, step: step))
  }

  fileprivate init(_ token: Int, withLikeliest count: Int, of logits: UnsafeBufferPointer<Float>, maximum: Float) {
    let normalizer = LogitScan.logSumExp(logits, maximum: maximum)
    func logProbability(_ token: Int) -> Float { Float(Double(logits[token]) - normalizer) }
    self.init(
      token: token, logProbability: logProbability(token),
      top: TopSelection.top(count, of: logits).compactMap {
        // Impossible tokens are not among the likeliest, however few there are.
        logits[$0] > -.infinity ? TokenLogProbability(token: $0, logProbability: logProbability($0)) : nil
      })
  }
}

extension SamplingParameters {
  /// Whether a token's occurrence in the answer changes its logit.
  var usesAnswerPenalties: Bool { repetitionPenalty != 1 || presencePenalty != 0 || frequencyPenalty != 0 }
}
