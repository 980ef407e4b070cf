import AngelCore
import AngelTensor

/// The same linear layer of every expert, as one grouped product.
struct ExpertLinear {
  private let weights: [Parameter]
  /// All of them or none.
  private let adapters: [LowRankAdapter]
  /// What rows are turned into before they are multiplied, as `Linear` does it.
  let rows: DType

  /// Layers without biases, of one shape and dtype; adapters stand beside all of them or none, in one shape.
  init(_ layers: [Linear]) {
    weights = layers.map(\.weight)
    adapters = layers.compactMap(\.adapter)
    precondition(
      adapters.isEmpty || adapters.count == layers.count,
      "experts: \(adapters.count) of \(layers.count) have an adapter, which must be all or none")
    let isPlain = adapters.isEmpty && !weights.contains(where: \.isTrained)
    rows = isPlain ? weights[0].matrix.1.inputDType(for: weights[0].matrix.0.dtype) : .float32
  }

  /// The rows of `x` [R, inputs] as this layer takes them, grouped by expert: [R * K, inputs].
  func grouped(_ x: Tensor, _ order: ExpertOrder) -> Tensor { taken(x).grouped(order) }

  /// Grouped rows [R * K, inputs] → [R * K, outputs].
  func callAsFunction(_ x: Tensor, _ order: ExpertOrder) -> Tensor {
    let result = Self.product(x.dtype == .float32 ? taken(x) : x, weights, order)
    guard let first = adapters.first else { return result }
    let inner = Self.product(x, adapters.map(\.down), order)
    let scaled = (inner * Double(first.scale)).cast(to: inner.dtype)
    return result + Self.product(scaled, adapters.map(\.up), order)
  }

  /// Rounding has no gradient.
  private func taken(_ x: Tensor) -> Tensor {
    let x = weights[0].operand(x)
    return rows == .float32 || x.dtype == .bfloat16 || x.isTrainable ? x : x.quantizedRows(rows)
  }

  /// Grouped rows times matrices that are all constants, or of which some are trained.
  private static func product(_ x: Tensor, _ parameters: [Parameter], _ order: ExpertOrder) -> Tensor {
    let isTrained = parameters.contains(where: \.isTrained)
    guard isTrained else { return x.matmul(ExpertMatrices(parameters.map(\.matrix.0)), order) }
    return parameters[0].operand(x)
      .matmul(experts: parameters.map { $0.trained ?? $0.matrix.0.dequantized() }, order)
  }
}
