import AngelCore
import Glibc

/// How well a model predicts a text: exp of the mean negative log-likelihood a token.
public struct Perplexity: Sendable {
  /// Scored tokens.
  public private(set) var tokenCount = 0
  private var negativeLogLikelihood = 0.0

  public init() {}

  /// exp(mean negative log-likelihood); NaN before anything was scored.
  public var value: Double { exp(negativeLogLikelihood / Double(tokenCount)) }

  /// Scores one window in a fresh sequence, all but its first `unscored` tokens: one at least, as nothing precedes it.
  ///
  /// Throws what the engine throws, and `EngineError.damagedLogits`; a window that fails is not counted.
  public mutating func score(_ window: [Int32], unscored: Int = 1, with engine: InferenceEngine) throws {
    var position = 0
    var sum = 0.0
    try engine.allLogits(after: window, in: engine.makeSequence()) { logits in
      position += 1
      guard position >= unscored, position < window.count else { return }
      sum -= Self.logProbability(of: Int(window[position]), in: logits)
      guard !sum.isNaN else { throw EngineError.damagedLogits(position: position - 1) }
    }
    negativeLogLikelihood += sum
    tokenCount += max(0, window.count - max(1, unscored))
  }

  /// Adds what another measurement scored.
  public mutating func add(_ other: Perplexity) {
    negativeLogLikelihood += other.negativeLogLikelihood
    tokenCount += other.tokenCount
  }

  /// log softmax(logits)[token], the sum of exponentials taken in float64 from the first entry to the last.
  static func logProbability(of token: Int, in logits: UnsafeBufferPointer<Float>) -> Double {
    var maximum = -Float.infinity
    for value in logits where value > maximum { maximum = value }
    var sum = 0.0
    for value in logits { sum += Double(expf(value - maximum)) }
    return Double(logits[token] - maximum) - log(sum)
  }
}
