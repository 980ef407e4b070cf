public import AngelGrammar

/// A request as the serving engine takes it: tokens in, pieces of text out.
public struct ServingRequest: Sendable {
  /// The tokens to continue, special tokens included; at least one.
  public var prompt: [Int32]
  /// How answers are drawn and when they end.
  public var sampling: SamplingParameters
  /// Answers to give. Each has its own stream of random numbers: answer 0 is the one a request for a single answer gets.
  public var answerCount = 1
  /// Requests with a smaller number are served first, as in vLLM; equal ones by arrival.
  public var priority = 0
  /// With a number n, the prompt's own tokens are reported first, each with its log-probability and the n likeliest in
  /// its place (what a request that echoes its prompt with log-probabilities asks for); nil reports none.
  public var promptLogprobs: Int?
  /// What each answer must be; nil: anything. An answer ends where nothing more may follow.
  public var constraint: TokenConstraint?
  /// The adapter to answer with; nil: the model alone.
  public var adapter: String?
  /// Special tokens that answers show as text.
  public var shownTokens: Set<Int32> = []

  /// A request with the defaults.
  public init(prompt: [Int32], sampling: SamplingParameters) {
    self.prompt = prompt
    self.sampling = sampling
  }
}

/// A piece of an answer, given out as soon as it is certain.
public struct ServingPiece: Sendable, Equatable {
  /// Which answer to the request it belongs to, from 0.
  public var answer: Int
  /// Whole characters; empty while the bytes of one are incomplete or a stop text may be under way.
  public var text: String
  /// The tokens sampled since the last piece, with log-probabilities where the request asks for them.
  public var tokens: [SampledToken]

  public init(answer: Int, text: String, tokens: [SampledToken]) {
    self.answer = answer
    self.text = text
    self.tokens = tokens
  }
}

/// What a request took.
public struct ServingUsage: Sendable, Equatable {
  public var promptTokens = 0
  /// Tokens of the prompt whose keys and values were already in the cache.
  public var cachedTokens = 0
  /// Sampled tokens of all answers, end tokens included.
  public var completionTokens = 0
  /// Seconds from submission to the first work on it, and to the first token.
  public var secondsQueued = 0.0
  public var secondsToFirstToken = 0.0
  /// Seconds from submission to the end.
  public var seconds = 0.0
  /// How often it gave up its place in the cache and was taken up again later.
  public var preemptions = 0

  public init() {}
}

/// What the engine tells about a request, in this order: `prompt` where asked for, pieces of all answers, an end for each
/// answer, and last `done` or `failed`, after which nothing follows.
public enum ServingEvent: Sendable {
  /// The prompt's tokens; the first has no log-probability, since nothing came before it.
  case prompt([SampledToken])
  case piece(ServingPiece)
  /// An answer has ended, by a stop text where one is given.
  case finished(answer: Int, FinishReason, stopText: String?)
  case done(ServingUsage)
  case failed(any Error)
}
