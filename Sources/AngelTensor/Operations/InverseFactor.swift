package import AngelCore
import CAngelKernels

extension Tensor {
  /// For each of these symmetric float32 matrices H [M, K, K] the upper triangular U [K, K] with
  /// (H + Λ)⁻¹ = Uᵀ U, Λ being `damping` (above 0) times H's diagonal (inverse_factor.h). A primitive.
  ///
  /// - Parameter orders: [M, K] int32, each number below K once: the order that U has H's rows and columns in.
  package func inverseFactors(orders: Tensor, damping: Double) -> Tensor {
    precondition(
      dtype == .float32 && shape.rank == 3 && shape[1] == shape[2] && damping > 0
        && orders.specification == TensorSpecification([shape[0], shape[1]], .int32),
      "inverse_factor: \(specification) in the orders of \(orders.specification), damping \(damping)")
    let result = Tensor(uninitialized: specification, on: backend, kind: .workspace)
    let scratch = Tensor(uninitialized: TensorSpecification(shape, .float64), on: backend, kind: .workspace)
    let arguments = angel_inverse_factor_arguments(
      moments: floats, orders: orders.int32s, factors: result.mutableFloats,
      scratch: scratch.address.assumingMemoryBound(to: Double.self),
      count: Int64(shape[0]), depth: Int64(shape[1]), damping: damping)
    backend.launch(
      ANGEL_FAMILY_inverse_factor, KernelDTypes(.float32), arguments,
      Work(bytes: specification.byteCount, multiplyAdds: shape.elementCount * shape[1] / 3), keeping: self, orders,
      scratch)
    return result
  }
}
