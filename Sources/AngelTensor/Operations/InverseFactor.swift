import AngelCore
import CAngelKernels

extension Tensor {
  /// Of this symmetric float32 matrix H [K, K] the upper triangular U [K, K] with (H + Λ)⁻¹ = Uᵀ U, Λ being `damping` (above
  /// 0) times H's diagonal (inverse_factor.h). A primitive, on one thread.
  ///
  /// - Parameter order: [K] int32, each number below K once: the order that U has H's rows and columns in.
  package func inverseFactor(order: Tensor, damping: Double) -> Tensor {
    precondition(
      dtype == .float32 && shape.rank == 2 && shape[0] == shape[1] && damping > 0
        && order.specification == TensorSpecification([shape[0]], .int32),
      "inverse_factor: \(specification) in the order of \(order.specification), damping \(damping)")
    let result = Tensor(uninitialized: specification, on: backend, kind: .workspace)
    let scratch = Tensor(uninitialized: TensorSpecification(shape, .float64), on: backend, kind: .workspace)
    let arguments = angel_inverse_factor_arguments(
      moments: floats, order: order.int32s, factor: result.mutableFloats,
      scratch: scratch.address.assumingMemoryBound(to: Double.self), depth: Int64(shape[0]), damping: damping)
    backend.launch(
      ANGEL_FAMILY_inverse_factor, KernelDTypes(.float32), arguments, Work(bytes: specification.byteCount),
      keeping: self, order, scratch)
    return result
  }
}
