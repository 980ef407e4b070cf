/// What a training step reads: rows of tokens, several sequences laid end to end.
///
/// Row `r` holds the token `inputs[r]` and is to predict `targets[r]`, which counts `weights[r]` in the loss. Sequence `s`
/// is rows `bounds[s]..<bounds[s + 1]`; rows see only their own sequence, and positions start from 0 in each.
public struct TokenBatch: Sendable, Hashable {
  public private(set) var inputs: [Int32] = []
  public private(set) var targets: [Int32] = []
  public private(set) var weights: [Float] = []
  /// Starts with 0, ends with the number of rows.
  public private(set) var bounds: [Int] = [0]

  public init() {}

  public var rowCount: Int { inputs.count }
  public var sequenceCount: Int { bounds.count - 1 }
  /// The sum of the weights: what the loss is divided by.
  public var weightSum: Double { weights.reduce(0) { $0 + Double($1) } }
  /// The position of each row in its sequence.
  public var positions: [Int32] {
    zip(bounds, bounds.dropFirst()).flatMap { start, end in (0..<Int32(end - start)) }
  }

  /// Some of the sequences, as a batch of their own.
  public func sequences(_ range: Range<Int>) -> TokenBatch {
    let rows = bounds[range.lowerBound]..<bounds[range.upperBound]
    var result = TokenBatch()
    result.inputs = Array(inputs[rows])
    result.targets = Array(targets[rows])
    result.weights = Array(weights[rows])
    result.bounds = bounds[range.lowerBound...range.upperBound].map { $0 - rows.lowerBound }
    return result
  }

  /// The same rows, none of which counts in the loss.
  public var unweighted: TokenBatch {
    var result = self
    result.weights = [Float](repeating: 0, count: weights.count)
    return result
  }

  /// Adds a sequence: every token but the last is read, every token but the first is predicted.
  public mutating func append(_ sample: TokenSample) {
    guard sample.count > 1 else { return }
    inputs += sample.tokens.dropLast()
    targets += sample.tokens.dropFirst()
    weights += sample.weights.dropFirst()
    bounds.append(inputs.count)
  }
}
