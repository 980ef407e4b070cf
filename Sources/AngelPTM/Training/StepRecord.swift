public import AngelCore

/// What one step did: a line of `metrics.jsonl`.
public struct StepRecord: Sendable, Hashable {
  /// Steps taken, this one included.
  public var step: Int
  /// The mean loss of the trained tokens, in nats.
  public var loss: Double
  /// The norm of all gradients before clipping.
  public var gradientNorm: Double
  public var learningRate: Double
  /// Tokens read, and those among them that are trained.
  public var tokens: Int
  public var trainedTokens: Int
  public var seconds: Double
  /// The arithmetic of the model, counted as 6 operations a token and matrix parameter.
  public var gigaflops: Double
  /// Whether the step was left out because a number was not finite.
  public var isSkipped = false

  public var tokensPerSecond: Double { Double(tokens) / max(seconds, 1e-9) }

  public var json: JSONValue {
    var object = JSONObject([
      ("step", .integer(step)), ("loss", .number(loss)), ("gradient_norm", .number(gradientNorm)),
      ("learning_rate", .number(learningRate)), ("tokens", .integer(tokens)),
      ("trained_tokens", .integer(trainedTokens)),
      ("seconds", .number(seconds)), ("tokens_per_second", .number(tokensPerSecond)), ("gflops", .number(gigaflops)),
    ])
    if isSkipped { object["skipped"] = true }
    return .object(object)
  }
}
