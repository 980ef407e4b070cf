import AngelCore
public import AngelTensor

/// y = x Wᵀ + b. How the weight is held (packed, quantised, later sharded or adapted) is this layer's business alone.
public struct Linear: Module {
  /// [outputs, inputs]
  public var weight: Parameter
  /// [outputs]
  public var bias: Parameter?

  public init(_ inputs: Int, _ outputs: Int, usesBias: Bool = false, role: Parameter.Role = .matrix) {
    weight = Parameter([outputs, inputs], role)
    bias = usesBias ? Parameter([outputs], .vector) : nil
  }

  /// A layer that shares its weight, as a tied output head does with the embedding.
  public init(tiedTo weight: Parameter) {
    self.weight = weight
    bias = nil
  }

  /// [R, inputs] → [R, outputs]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let (matrix, arithmetic) = weight.matrix
    let input = arithmetic == .fast && matrix.dtype.isQuantized ? x.quantizedRows() : x
    return input.matmul(matrix, bias: bias?.vector)
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("weight", &weight)
    visitor.visit("bias", &bias)
  }
}
