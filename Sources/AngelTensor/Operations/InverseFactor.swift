package import AngelCore
import CAngelKernels

extension Tensor {
  /// For each of these symmetric float32 matrices H [M, K, K] the upper triangular U [K, K] with
  /// (H + λ I)⁻¹ = Uᵀ U, λ being `damping` (above 0) times the mean of H's diagonal (inverse_factor.h). A primitive.
  package func inverseFactors(damping: Double) -> Tensor {
    precondition(
      dtype == .float32 && shape.rank == 3 && shape[1] == shape[2] && damping > 0,
      "inverse_factor: \(specification), damping \(damping)")
    let result = Tensor(uninitialized: specification, on: backend, kind: .workspace)
    let scratch = Tensor(uninitialized: TensorSpecification(shape, .float64), on: backend, kind: .workspace)
    let arguments = angel_inverse_factor_arguments(
      moments: floats, factors: result.mutableFloats, scratch: scratch.address.assumingMemoryBound(to: Double.self),
      count: Int64(shape[0]), depth: Int64(shape[1]), damping: damping)
    backend.launch(
      ANGEL_FAMILY_inverse_factor, KernelDTypes(.float32), arguments,
      Work(bytes: specification.byteCount, multiplyAdds: shape.elementCount * shape[1] / 3), keeping: self, scratch)
    return result
  }
}
