import AngelCore
public import AngelTensor

/// Layer norm whose scale and shift are made from a condition, and gates for what comes after it: adaLN-Zero
/// (arXiv:2212.09748, §3.2).
///
/// For each of `count` branches of a block (attention and feed-forward: two) a shift, a scale and a gate come from one
/// linear layer of silu(condition). Whoever makes a new model begins it with zeros, so that a block begins as the identity.
public struct AdaptiveLayerNorm: Module {
  /// What a condition makes of one branch, [N, 1, width] each.
  public struct Modulation: Sendable {
    public let shift: Tensor
    public let scale: Tensor
    public let gate: Tensor
  }

  /// [count * 3 * width, condition]: shift, scale and gate of the first branch, then those of the next.
  var projection: Linear
  let width: Int
  let count: Int
  /// Added to the variance.
  public let epsilon: Float

  public init(_ width: Int, condition: Int, count: Int, epsilon: Float = 1e-6) {
    projection = Linear(condition, count * 3 * width, usesBias: true)
    self.width = width
    self.count = count
    self.epsilon = epsilon
  }

  /// A condition [N, condition] → what it makes of every branch.
  public func modulations(_ condition: Tensor) -> [Modulation] {
    let rows = condition.shape[0]
    let parts = projection(silu(condition)).reshaped(rows, 3 * count, width).permuted(1, 0, 2)
    func part(_ index: Int) -> Tensor { parts.prefix(index..<index + 1).reshaped(rows, 1, width) }
    return (0..<count).map { Modulation(shift: part(3 * $0), scale: part(3 * $0 + 1), gate: part(3 * $0 + 2)) }
  }

  /// x [N, T, width] normalised, then times 1 + scale, plus shift.
  public func callAsFunction(_ x: Tensor, _ modulation: Modulation) -> Tensor {
    let ones = Tensor([Float](repeating: 1, count: width), on: x.backend).cast(to: x.dtype)
    let normalized = x.reshaped(-1, width).layerNormalized(weight: ones, bias: ones * 0, epsilon: epsilon)
    return normalized.reshaped(x.shape.array) * (modulation.scale + 1) + modulation.shift
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("projection", &projection)
  }
}
