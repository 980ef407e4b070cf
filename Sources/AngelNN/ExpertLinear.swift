import AngelCore
import AngelTensor

/// The same linear layer of every expert, as one grouped product.
struct ExpertLinear {
  private let matrices: ExpertMatrices
  /// Whether the rows are multiplied in int8, as `Linear` does with quantised weights.
  let takesInt8: Bool

  /// Layers without biases, of one shape and dtype.
  init(_ layers: [Linear]) {
    let weights = layers.map(\.weight.matrix)
    matrices = ExpertMatrices(weights.map(\.0))
    takesInt8 = weights[0].1 == .fast && matrices.dtype.isQuantized
  }

  /// The rows of `x` [R, inputs] as this layer takes them, grouped by expert: [R * K, inputs].
  func grouped(_ x: Tensor, _ order: ExpertOrder) -> Tensor { taken(x).rows(order.rows) }

  /// Grouped rows [R * K, inputs] → [R * K, outputs].
  func callAsFunction(_ x: Tensor, _ order: ExpertOrder) -> Tensor {
    (x.dtype == .float32 ? taken(x) : x).matmul(matrices, order)
  }

  /// Rounding to int8 has no gradient.
  private func taken(_ x: Tensor) -> Tensor { takesInt8 && !x.isTrainable ? x.quantizedRows() : x }
}
