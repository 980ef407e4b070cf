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
  /// The arithmetic of the model (`StepArithmetic`), in 10^9 operations a second.
  public var gigaflops: Double
  /// Whether the step was left out because a number was not finite.
  public var isSkipped = false
  /// Where values first stopped being finite, in a step that was left out.
  public var culprit: String?
  /// How far the step moved the weights; nil where it was not measured.
  public var updateRatios: UpdateRatios?
  /// What a product of matrices gives on this machine, in 10^9 operations a second; nil where it was not measured.
  public var peakGigaflops: Double?
  /// What the experts had to do; nil for a model without any.
  public var experts: ExpertRecord?
  /// Seconds in which this process stood still for others (`StepLayout.waitedSeconds`).
  public var waitedSeconds = 0.0
  /// Seconds of processor time that sending took meanwhile, beside passes and updates (`StepLayout.takenSeconds`).
  public var takenSeconds = 0.0

  public var tokensPerSecond: Double { Double(tokens) / max(seconds, 1e-9) }

  /// The share of the peak that the step reached.
  public var peakShare: Double? { peakGigaflops.map { gigaflops / max($0, 1e-9) } }

  /// What was not finite in a skipped step.
  public var notFiniteName: String { loss.isFinite ? "the norm of the gradients" : "the loss" }

  public var json: JSONValue {
    var object = JSONObject([
      ("step", .integer(step)), ("loss", .number(loss)), ("gradient_norm", .number(gradientNorm)),
      ("learning_rate", .number(learningRate)), ("tokens", .integer(tokens)),
      ("trained_tokens", .integer(trainedTokens)),
      ("seconds", .number(seconds)), ("tokens_per_second", .number(tokensPerSecond)), ("gflops", .number(gigaflops)),
    ])
    if let peakShare { object["mfu"] = .number(peakShare) }
    if waitedSeconds > 0 { object["waited_seconds"] = .number(waitedSeconds) }
    if let experts { object["experts"] = experts.json }
    if let updateRatios {
      object["update_ratio"] = .number(updateRatios.overall)
      object["update_ratios"] = updateRatios.json
    }
    if isSkipped { object["skipped"] = .string(notFiniteName + " is not finite") }
    if let culprit { object["first_not_finite"] = .string(culprit) }
    return .object(object)
  }
}
