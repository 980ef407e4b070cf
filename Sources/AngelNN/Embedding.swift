import AngelCore
public import AngelTensor

/// One row of the weight for each token.
public struct Embedding: Module {
  /// [vocabulary, width]
  public var weight: Parameter

  public init(_ vocabularySize: Int, _ width: Int) { weight = Parameter([vocabularySize, width], .matrix) }

  /// [R] int32, each in 0..<vocabulary → [R, width], in float32: the residual stream
  public func callAsFunction(_ tokens: Tensor) -> Tensor {
    weight.trained?.wideRows(tokens) ?? weight.matrix.0.rows(tokens)
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) { visitor.visit("weight", &weight) }
}
