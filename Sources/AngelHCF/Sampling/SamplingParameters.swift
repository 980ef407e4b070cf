/// How tokens are chosen from a model's logits; names and meanings as in the OpenAI and vLLM interfaces.
///
/// The defaults draw from the model's own distribution. `Sampler` states the order in which the fields act.
public struct SamplingParameters: Codable, Equatable, Sendable {
  /// Divides the logits; 0 always takes the likeliest token (greedy). Below 1e-5 counts as 0.
  public var temperature: Float = 1
  /// Keeps the tokens with the k largest logits, and those equal to the k-th; 0 keeps all.
  public var topK = 0
  /// Keeps the likeliest tokens until their probabilities reach this sum (nucleus, arXiv:1904.09751); 1 keeps all.
  public var topP: Float = 1
  /// Keeps tokens at least this many times as likely as the likeliest (arXiv:2407.01082); 0 keeps all.
  public var minP: Float = 0
  /// Divides positive and multiplies negative logits of tokens in prompt or answer (CTRL, arXiv:1909.05858); 1 is off.
  public var repetitionPenalty: Float = 1
  /// Subtracted from the logit of each token that occurs in the answer.
  public var presencePenalty: Float = 0
  /// Subtracted from a token's logit once for each time it occurs in the answer.
  public var frequencyPenalty: Float = 0
  /// Fixes all random draws; nil takes a random seed, which `Sampler.seed` reports.
  public var seed: Int?
  /// The longest answer in tokens; nil leaves the context length as the only bound.
  public var maxTokens: Int?
  /// The answer ends before the first of these texts.
  public var stop: [String] = []
  /// Added to the logits of single tokens before everything else.
  public var logitBias: [Int: Float] = [:]
  /// With a number n, the log-probability of each token and of the n likeliest is reported; nil reports none.
  public var logprobs: Int?
  /// Goes on after the model's end-of-text token, for benchmarks.
  public var ignoresEndToken = false

  public init() {}

  /// Always the likeliest token.
  public static var greedy: SamplingParameters {
    var result = SamplingParameters()
    result.temperature = 0
    return result
  }

  /// Whether the likeliest token is taken, without a draw.
  public var isGreedy: Bool { temperature < 1e-5 }

  /// The most texts `stop` may hold, and the most bytes in one of them.
  public static let stopLimit = 64
  public static let stopByteLimit = 1024
  /// The most entries of `logitBias`, as in the OpenAI interface.
  public static let biasLimit = 1024

  /// Throws `SamplingError.invalid` naming the first field whose value is out of range.
  public func validate() throws(SamplingError) {
    try Self.check("temperature", temperature, 0...100, "0...100")
    try Self.check("topP", topP, Float.leastNonzeroMagnitude...1, "above 0, at most 1")
    try Self.check("minP", minP, 0...1, "0...1")
    try Self.check("repetitionPenalty", repetitionPenalty, 0.01...100, "0.01...100, where 1 is none")
    try Self.check("presencePenalty", presencePenalty, -2...2, "-2...2")
    try Self.check("frequencyPenalty", frequencyPenalty, -2...2, "-2...2")
    guard topK >= 0 else { throw .invalid(field: "topK", value: "\(topK)", range: "0 (off) or more") }
    if let maxTokens, maxTokens < 1 { throw .invalid(field: "maxTokens", value: "\(maxTokens)", range: "1 or more") }
    if let logprobs, !(0...20).contains(logprobs) {
      throw .invalid(field: "logprobs", value: "\(logprobs)", range: "0...20")
    }
    try validateStop()
    guard logitBias.count <= Self.biasLimit else {
      throw .invalid(field: "logitBias", value: "\(logitBias.count) entries", range: "at most \(Self.biasLimit)")
    }
    for (token, bias) in logitBias.sorted(by: { $0.key < $1.key }) {
      guard token >= 0 else { throw .invalid(field: "logitBias", value: "token \(token)", range: "0 or more") }
      try Self.check("logitBias[\(token)]", bias, -100...100, "-100...100")
    }
  }

  private func validateStop() throws(SamplingError) {
    guard stop.count <= Self.stopLimit else {
      throw .invalid(field: "stop", value: "\(stop.count) texts", range: "at most \(Self.stopLimit)")
    }
    for text in stop where text.isEmpty || text.utf8.count > Self.stopByteLimit {
      throw .invalid(
        field: "stop", value: "a text of \(text.utf8.count) bytes", range: "1...\(Self.stopByteLimit) bytes")
    }
  }

  /// NaN is in no range, so it is refused too.
  private static func check(
    _ field: String, _ value: Float, _ range: ClosedRange<Float>, _ words: String
  ) throws(SamplingError) {
    guard range.contains(value) else { throw .invalid(field: field, value: "\(value)", range: words) }
  }
}
