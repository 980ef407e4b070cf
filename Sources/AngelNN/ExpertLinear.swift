import AngelCore
import AngelTensor

/// The same linear layer of every expert, as one grouped product.
struct ExpertLinear {
  private let matrices: ExpertMatrices
  /// What rows are turned into before they are multiplied, as `Linear` does it.
  let rows: DType

  /// Layers without biases, of one shape and dtype.
  init(_ layers: [Linear]) {
    let weights = layers.map(\.weight.matrix)
    matrices = ExpertMatrices(weights.map(\.0))
    rows = weights[0].1.inputDType(for: matrices.dtype)
  }

  /// The rows of `x` [R, inputs] as this layer takes them, grouped by expert: [R * K, inputs].
  func grouped(_ x: Tensor, _ order: ExpertOrder) -> Tensor { taken(x).rows(order.rows) }

  /// Grouped rows [R * K, inputs] → [R * K, outputs].
  func callAsFunction(_ x: Tensor, _ order: ExpertOrder) -> Tensor {
    (x.dtype == .float32 ? taken(x) : x).matmul(matrices, order)
  }

  /// Rounding has no gradient.
  private func taken(_ x: Tensor) -> Tensor { rows == .float32 || x.isTrainable ? x : x.quantizedRows(rows) }
}
