import AngelCore
public import AngelTensor

/// x / sqrt(mean(x²) + epsilon) * weight over the last axis (arXiv:1910.07467).
public struct RMSNorm: Module {
  /// [width]
  public var weight: Parameter
  /// Added to the mean square.
  public let epsilon: Float
  /// Those that have the other rows, which it hands on too; nil: it hands on what it is given.
  var peers: (any LayerPeers)?

  public init(_ width: Int, epsilon: Float) {
    weight = Parameter([width], .vector)
    self.epsilon = epsilon
  }

  /// [..., width] → the same shape; with peers the rows of all
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let y = x.rmsNormalized(weight: weight.vector, epsilon: epsilon, output: weight.output)
    return peers?.gathered(y) ?? y
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) { visitor.visit("weight", &weight) }
}
