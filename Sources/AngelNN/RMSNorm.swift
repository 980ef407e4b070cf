import AngelCore
public import AngelTensor

/// x / sqrt(mean(x²) + epsilon) * weight over the last axis (arXiv:1910.07467).
public struct RMSNorm: Module {
  /// [width]
  public var weight: Parameter
  /// Added to the mean square.
  public let epsilon: Float

  public init(_ width: Int, epsilon: Float) {
    weight = Parameter([width], .vector)
    self.epsilon = epsilon
  }

  /// [..., width] → the same shape
  public func callAsFunction(_ x: Tensor) -> Tensor {
    x.rmsNormalized(weight: weight.vector, epsilon: epsilon, output: weight.output)
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) { visitor.visit("weight", &weight) }
}
