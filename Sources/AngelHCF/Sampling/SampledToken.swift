/// A token and the natural logarithm of its probability.
public struct TokenLogProbability: Equatable, Sendable {
  public let token: Int
  public let logProbability: Float
  public init(token: Int, logProbability: Float) {
    self.token = token
    self.logProbability = logProbability
  }
}

/// What a sampler chose at one step.
public struct SampledToken: Equatable, Sendable {
  public let token: Int
  /// Under the model's own distribution (no bias, penalty, temperature or truncation); nil unless asked for.
  public let logProbability: Float?
  /// The likeliest tokens of that distribution, likeliest first, equal ones by id; as many as asked for.
  public let top: [TokenLogProbability]
  public init(token: Int, logProbability: Float? = nil, top: [TokenLogProbability] = []) {
    self.token = token
    self.logProbability = logProbability
    self.top = top
  }
}
