import AngelCore
import AngelGrammar
import AngelHCF

/// What a request wants generated, after every check that can be made before it is queued.
struct GenerationPlan: Sendable {
  /// Prompts, each of which gets `answerCount` answers: the answers to prompt p are p·answerCount and the next ones.
  var prompts: [Prompt]
  var sampling: SamplingParameters
  var answerCount: Int
  var priority = 0
  /// With the prompt's own log-probabilities, and so many likeliest in each place.
  var promptLogprobs: Int?
  /// Whether answers begin with their prompts.
  var echoes = false
  /// Whether nothing but the prompt is wanted: a token is generated and not shown.
  var discardsAnswers = false
  /// What answers must be; nil: anything.
  var constraint: TokenConstraint?
  /// Special tokens that answers show.
  var shownTokens: Set<Int32> = []
  var streams: Bool
  /// Whether OpenAI's streams end with the token counts.
  var includesUsage = false

  /// The most answers to a request, of all its prompts together.
  static let answerLimit = 2048

  /// A prompt as tokens, and as text where it is echoed.
  struct Prompt: Sendable {
    var tokens: [Int32]
    var text = ""
  }

  /// A plan for prompts.
  ///
  /// - Parameters:
  ///   - field: the field the prompts came from, for errors.
  ///   - limit: the longest answer; nil leaves the context as the only bound.
  init(
    _ prompts: [Prompt], from field: String, _ sampling: SamplingParameters, limit: Int?, answerCount: Int = 1,
    streams: Bool, _ engine: any ServingEngine
  ) throws(APIError) {
    self.prompts = prompts
    self.sampling = sampling
    self.answerCount = answerCount
    self.streams = streams
    guard prompts.count * answerCount <= Self.answerLimit else {
      throw .invalid(
        "n", "asks for \(prompts.count * answerCount) answers in all: at most \(Self.answerLimit) at a time")
    }
    if limit == 0 { discardsAnswers = true }
    self.sampling.maxTokens = limit.map { max(1, $0) }
    for prompt in prompts {
      guard !prompt.tokens.isEmpty else { throw .invalid(field, "has no tokens: give some text") }
      for token in prompt.tokens where token < 0 || Int(token) >= engine.vocabularySize {
        throw .invalid(field, "has token \(token): the vocabulary has ids from 0 to \(engine.vocabularySize - 1)")
      }
      guard prompt.tokens.count + (self.sampling.maxTokens ?? 1) <= engine.contextLength else {
        throw .contextExceeded(
          field, tokens: prompt.tokens.count, answer: self.sampling.maxTokens ?? 0, limit: engine.contextLength)
      }
    }
  }

  /// A plan for a conversation.
  init(
    _ chat: ChatPlan, _ sampling: SamplingParameters, limit: Int?, answerCount: Int = 1, streams: Bool,
    _ engine: any ServingEngine
  ) throws(APIError) {
    try self.init(
      [Prompt(tokens: chat.tokens)], from: chat.field, sampling, limit: limit, answerCount: answerCount,
      streams: streams, engine)
    constraint = chat.constraint
    shownTokens = chat.shownTokens
  }

  /// Takes over what OpenAI's completions say beside their prompts.
  mutating func read(_ body: RequestBody) throws(APIError) {
    priority = body.integer("priority") ?? 0
    if case .bool(true)? = body.object("stream_options")?["include_usage"] { includesUsage = true }
    if body.object("stream_options") != nil, !streams {
      throw .invalid("stream_options", "goes with \"stream\": true")
    }
  }
}
