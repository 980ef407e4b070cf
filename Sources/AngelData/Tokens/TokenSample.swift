/// Tokens of one text or conversation; each with the weight it has in the loss as a target.
public struct TokenSample: Sendable, Hashable {
  public private(set) var tokens: [Int32] = []
  /// As many as tokens: 0 for what is read but not learnt.
  public private(set) var weights: [Float] = []

  public init() {}

  public init(_ tokens: [Int32], weight: Float = 1) { append(tokens, weight: weight) }

  /// As many weights as tokens.
  init(_ tokens: [Int32], weights: [Float]) {
    precondition(tokens.count == weights.count, "\(weights.count) weights of \(tokens.count) tokens")
    (self.tokens, self.weights) = (tokens, weights)
  }

  /// Adds tokens that all have one weight.
  public mutating func append(_ tokens: [Int32], weight: Float) {
    self.tokens += tokens
    weights += repeatElement(weight, count: tokens.count)
  }

  public var count: Int { tokens.count }

  /// Tokens that are learnt: those with a weight, but the first, which nothing predicts.
  public var trainedCount: Int { weights.dropFirst().count { $0 != 0 } }

  /// The first `count` tokens.
  public mutating func truncate(to count: Int) {
    tokens.removeLast(max(0, tokens.count - count))
    weights.removeLast(max(0, weights.count - count))
  }
}
