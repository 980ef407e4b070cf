import AngelCore
public import AngelTensor

/// (x - mean) / sqrt(variance + epsilon) * weight + bias over the last axis (arXiv:1607.06450).
public struct LayerNorm: Module {
  /// [width]
  public var weight: Parameter
  /// [width]
  public var bias: Parameter
  /// Added to the variance.
  public let epsilon: Float
  /// Those that have the other rows, which it hands on too; nil: it hands on what it is given.
  var peers: (any LayerPeers)?

  public init(_ width: Int, epsilon: Float) {
    weight = Parameter([width], .vector)
    bias = Parameter([width], .vector)
    self.epsilon = epsilon
  }

  /// [..., width] → the same shape; with peers the rows of all
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let y = x.layerNormalized(weight: weight.vector, bias: bias.vector, epsilon: epsilon, output: weight.output)
    return peers?.gathered(y) ?? y
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("weight", &weight)
    visitor.visit("bias", &bias)
  }
}
