import AngelCore
public import AngelGrammar
import AngelMemory
import AngelTensor
public import AngelText

/// Why an answer ended.
public enum FinishReason: String, Sendable {
  /// An end token or a stop string.
  case stop
  /// The limit on new tokens, or the end of the context.
  case length
  /// The user asked for it.
  case interrupted
}

/// An answer with its figures.
public struct GenerationResult: Sendable {
  /// The answer, without special tokens and without the stop string.
  public var text = ""
  /// Every sampled token, an end token included.
  public var tokens: [Int32] = []
  /// Log-probabilities, one for each token, when asked for.
  public var logProbabilities: [SampledToken] = []
  public var finishReason = FinishReason.length
  /// Tokens of the prompt, those already in the cache included.
  public var promptTokenCount = 0
  /// Tokens of the prompt whose keys and values were in the cache, so that they did not have to run.
  public var cachedTokenCount = 0
  /// What came of guesses; nil: none were asked for.
  public var speculation: SpeculationFigures?
  /// The seed in use, so that the same text can be had again.
  public var seed = 0
  /// Seconds from the call to the first token.
  public var timeToFirstToken = 0.0
  /// Seconds from the first token to the last.
  public var decodeSeconds = 0.0

  /// New tokens per second after the first; 0 for fewer than two.
  public var tokensPerSecond: Double {
    tokens.count > 1 && decodeSeconds > 0 ? Double(tokens.count - 1) / decodeSeconds : 0
  }
}

/// Turns prompts into text: prefill, then sample, decode and detokenise token by token.
public struct TextGenerator {
  let engine: InferenceEngine
  let tokenizer: Tokenizer
  let endTokens: Set<Int32>
  /// Guesses that make answers come sooner; nil: none.
  public var speculation: Speculation?

  /// A generator that ends answers at any of `endTokens`.
  public init(_ engine: InferenceEngine, tokenizer: Tokenizer, endTokens: Set<Int32>) {
    self.engine = engine
    self.tokenizer = tokenizer
    self.endTokens = endTokens
  }

  /// Continues `prompt` (all tokens of the sequence, of which the cache may already hold the beginning).
  ///
  /// - Parameters:
  ///   - sequence: what it shares with the beginning of `prompt` is used, the rest forgotten; afterwards it holds prompt and answer, but for the last token.
  ///   - constraint: what the answer must be; nil: anything. The answer ends where nothing more may follow.
  ///   - emit: called with each piece of text as soon as it is certain.
  /// - Throws: `EngineError`, `SamplingError`, `GrammarError`, `TokenizerError`, memory and device failures, and what `emit` throws.
  public func generate(
    from prompt: [Int32], in sequence: CachedSequence, sampling: SamplingParameters,
    constraint: TokenConstraint? = nil, emit: (String) throws -> Void
  ) throws -> GenerationResult {
    let clock = ContinuousClock()
    let begin = clock.now
    guard !prompt.isEmpty else { throw EngineError.emptyPrompt }
    let room = engine.contextLength - prompt.count
    guard room > 0 else {
      throw EngineError.noRoomForAnswer(tokens: prompt.count, limit: engine.contextLength)
    }
    var sampler = try Sampler(
      parameters: sampling, promptTokens: prompt.map(Int.init), vocabularySize: engine.vocabularySize)
    var matcher = constraint.map { TokenMatcher($0) }
    var answer = AnswerText(
      tokenizer, endTokens: sampling.ignoresEndToken ? [] : endTokens, stop: sampling.stop,
      limit: min(sampling.maxTokens ?? room, room))
    var result = GenerationResult()
    result.promptTokenCount = prompt.count
    result.seed = sampler.seed
    func send(_ text: String) throws {
      guard !text.isEmpty else { return }
      result.text += text
      try emit(text)
    }

    result.cachedTokenCount = sequence.sharedPrefix(with: prompt)
    var speculator = try speculation.map { try Speculator($0, engine, sequence) }
    var (text, guesses) = (prompt, [Int32]())
    var first = clock.now
    while answer.finishReason == nil {
      var stepBegin = clock.now
      let logits: Tensor
      do {
        if !result.tokens.isEmpty, speculator != nil {
          guesses =
            try speculator?.guesses(
              after: text, room: answer.room - 1, sampler: sampler, step: result.tokens.count) ?? []
          stepBegin = clock.now
        }
        logits = try engine.lastLogits(
          guesses.count + 1, after: text[sequence.count...] + guesses, in: sequence)
      } catch is Interrupted {
        try send(answer.end(.interrupted))
        break
      }
      // The guesses that are what is drawn, and the token after them.
      var right = 0
      repeat {
        let mask = try matcher?.mask()
        let sampled = try logits.prefix(right..<(right + 1)).withHostBytes {
          try sampler.sample($0.assumingMemoryBound(to: Float.self), step: result.tokens.count, allowing: mask)
        }
        if result.tokens.isEmpty {
          first = clock.now
          result.timeToFirstToken = (first - begin).seconds
        }
        let token = Int32(sampled.token)
        text.append(token)
        result.tokens.append(token)
        if sampling.logprobs != nil { result.logProbabilities.append(sampled) }
        try matcher?.accept(token)
        try send(answer.append(token, isLast: matcher?.isComplete ?? false))
        guard right < guesses.count, guesses[right] == token else { break }
        right += 1
      } while answer.finishReason == nil
      sequence.truncate(to: text.count - 1)
      if result.tokens.count > 1 {
        speculator?.note(guessed: guesses.count, right: right, seconds: (clock.now - stepBegin).seconds)
      }
    }
    result.speculation = speculator?.figures
    result.finishReason = answer.finishReason ?? .length
    result.decodeSeconds = (clock.now - first).seconds
    return result
  }
}

extension CachedSequence {
  /// Forgets what differs from `prompt` and returns how many of its tokens stay cached: at least one is always left to
  /// run, since its logits are wanted.
  func sharedPrefix(with prompt: [Int32]) -> Int {
    var shared = 0
    while shared < min(tokens.count, prompt.count - 1), tokens[shared] == prompt[shared] { shared += 1 }
    truncate(to: shared)
    return shared
  }
}

extension Duration {
  /// This duration in seconds.
  package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
