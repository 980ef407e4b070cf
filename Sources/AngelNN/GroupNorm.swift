import AngelCore
public import AngelTensor

/// (x - mean) / sqrt(variance + epsilon) * weight + bias over the places and channels of a group (arXiv:1803.08494).
public struct GroupNorm: Module {
  /// [channels]
  public var weight: Parameter
  /// [channels]
  public var bias: Parameter
  public let groups: Int
  /// Added to the variance.
  public let epsilon: Float

  /// - Parameter groups: a divisor of the channels.
  public init(_ channels: Int, groups: Int, epsilon: Float = 1e-5) {
    weight = Parameter([channels], .vector)
    bias = Parameter([channels], .vector)
    self.groups = groups
    self.epsilon = epsilon
  }

  /// [N, ..., channels] → the same shape; with a SiLU after it where wanted, in the same pass over memory.
  public func callAsFunction(_ x: Tensor, thenSiLU: Bool = false) -> Tensor {
    x.groupNormalized(
      groups: groups, weight: weight.vector, bias: bias.vector, epsilon: epsilon, thenSiLU: thenSiLU)
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("weight", &weight)
    visitor.visit("bias", &bias)
  }
}
