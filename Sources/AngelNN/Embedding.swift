import AngelCore
public import AngelTensor

/// One row of the weight for each token.
public struct Embedding: Module {
  /// [vocabulary, width]
  public var weight: Parameter
  /// Those that look the other rows up; nil: all rows are looked up here.
  var peers: (any LayerPeers)?

  public init(_ vocabularySize: Int, _ width: Int) { weight = Parameter([vocabularySize, width], .matrix) }

  /// [R] int32, each in 0..<vocabulary → [R, width], in float32: the residual stream; with peers this process's rows of it
  public func callAsFunction(_ tokens: Tensor) -> Tensor {
    var tokens = tokens
    if let peers {
      peers.begin(rowCount: tokens.shape[0])
      tokens = tokens.prefix(peers.rows(of: tokens.shape[0]))
    }
    return weight.trained?.wideRows(tokens) ?? weight.matrix.0.rows(tokens)
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) { visitor.visit("weight", &weight) }
}
