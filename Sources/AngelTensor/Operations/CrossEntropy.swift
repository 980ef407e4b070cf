import AngelCore
import CAngelKernels

/// What each row should predict, and how the error is counted.
public struct PredictionTargets: Sendable {
  /// [R] int32: the entry of the vocabulary that is right.
  public let tokens: Tensor
  /// [R] float32: what each row counts; 0 leaves it out. Divide by the weight of the whole batch here, and the gradients
  /// of its parts add up to that of their mean.
  public let weights: Tensor
  /// The share ε of each target that is spread over the whole vocabulary (arXiv:1512.00567, §7).
  public var labelSmoothing: Float = 0
  /// Multiplies the squared logarithm of the partition function, which keeps logits from drifting (arXiv:2204.02311, §5).
  public var partitionPenalty: Float = 0

  public init(tokens: Tensor, weights: Tensor, labelSmoothing: Float = 0, partitionPenalty: Float = 0) {
    precondition(
      tokens.shape.rank == 1 && tokens.dtype == .int32 && weights.specification == .init(tokens.shape, .float32),
      "targets: tokens \(tokens.specification) and weights \(weights.specification)")
    self.tokens = tokens
    self.weights = weights
    self.labelSmoothing = labelSmoothing
    self.partitionPenalty = partitionPenalty
  }

  /// The number of rows.
  public var rowCount: Int { tokens.shape[0] }

  /// The targets of some rows.
  func prefix(_ range: Range<Int>) -> PredictionTargets {
    PredictionTargets(
      tokens: tokens.prefix(range), weights: weights.prefix(range), labelSmoothing: labelSmoothing,
      partitionPenalty: partitionPenalty)
  }
}

extension Tensor {
  /// The cross-entropy of these logits [R, V], summed over the rows with their weights: a scalar, in other operations.
  ///
  /// A row counts weight * (z - (1 - ε) x[target] - ε mean(x) + penalty z²) with z = log(sum(exp(x))). This is the definition
  /// of `crossEntropy(head:_:)`, which never stores the logits.
  public func crossEntropy(_ targets: PredictionTargets) -> Tensor {
    let (rows, vocabulary) = (shape[0], shape[1])
    precondition(targets.rowCount == rows, "cross_entropy: \(targets.rowCount) targets for \(specification)")
    // Any shift gives the same value; the maximum keeps exp from overflowing.
    let maximum = detached.max(over: -1)
    let logPartition = log(exp(self - maximum).sum(over: -1)) + maximum  // [R, 1]
    let starts = Tensor((0..<rows).map { Double($0 * vocabulary) }, on: backend)
    let places = (targets.tokens.cast(to: .float64) + starts).cast(to: .int32)
    let (smoothing, penalty) = (Double(targets.labelSmoothing), Double(targets.partitionPenalty))
    var loss = logPartition - reshaped(-1, 1).rows(places) * (1 - smoothing)
    if smoothing > 0 { loss = loss - mean(over: -1) * smoothing }
    if penalty > 0 { loss = loss + logPartition.squared() * penalty }
    return (loss * targets.weights.cast(to: dtype).reshaped(rows, 1)).sum()
  }

  /// The cross-entropy of the logits of these hidden states [R, D] under an output head's `weight` [V, D]: a scalar.
  ///
  /// The same as `matmul(weight, bias: nil).crossEntropy(targets)`, by chunks of rows: at no time are there more logits than
  /// `logitBytes`, and gradients are taken while they are at hand.
  public func crossEntropy(
    head weight: Tensor, _ targets: PredictionTargets, logitBytes: Int = 112 << 20
  ) -> Tensor {
    LinearCrossEntropy(targets: targets, logitBytes: logitBytes)(self, .dense(weight))
  }

  /// The same for a head whose weight is a packed constant; quantised ones are multiplied in float32.
  public func crossEntropy(
    head matrix: PackedMatrix, _ targets: PredictionTargets, logitBytes: Int = 112 << 20
  ) -> Tensor {
    let isDirect = matrix.dtype == dtype && (dtype == .float32 || dtype == .bfloat16)
    let head = isDirect ? OutputHead.packed(matrix) : .dense(matrix.dequantized())
    return LinearCrossEntropy(targets: targets, logitBytes: logitBytes)(isDirect ? self : cast(to: .float32), head)
  }
}
