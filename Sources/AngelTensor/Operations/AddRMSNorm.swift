import AngelCore
package import CAngelKernels

/// A residual sum and its RMS normalisation, both written by one kernel (add_rmsnorm.h).
///
/// An operation with two results: `TensorOperation` gives one, so this one states the same parts itself. Two tensors, not
/// two views of one, so that each is released, and its int8 form remembered, on its own.
package struct AddRMSNormalization: Sendable {
  package static var family: angel_family { ANGEL_FAMILY_add_rmsnorm }
  package let epsilon: Float

  package init(epsilon: Float) { self.epsilon = epsilon }

  /// Runs the kernel where the backend has one, else the composed form.
  package func callAsFunction(_ x: Tensor, _ update: Tensor, weight: Tensor) -> (sum: Tensor, normalized: Tensor) {
    let (backend, specification) = (x.backend, x.specification)
    precondition(
      update.shape == x.shape && weight.specification == TensorSpecification([x.shape[-1]], x.dtype),
      "add_rmsnorm: update \(update.specification) and weight \(weight.specification) do not fit \(specification)")
    precondition(
      update.device == backend.device && weight.device == backend.device,
      "add_rmsnorm: \(update.device) and \(weight.device) against \(backend.device)")
    // The normalised sum has the dtype of the update.
    guard let kernel = backend.kernel(Self.family, KernelDTypes(update.dtype)), x.dtype == .float32 else {
      return composed(x, update, weight: weight)
    }
    let sum = Tensor(uninitialized: specification, on: backend)
    let normalized = Tensor(uninitialized: update.specification, on: backend)
    let width = x.shape[-1]
    let arguments = angel_add_rmsnorm_arguments(
      input: x.floats, update: UnsafeRawPointer(update.address), weight: weight.floats, sum: sum.mutableFloats,
      normalized: normalized.address, rows: Int64(x.shape.elementCount / width), width: Int64(width),
      epsilon: epsilon)
    backend.launch(kernel, arguments, Work(bytes: 4 * specification.byteCount), keeping: x, update, weight)
    // One kernel, two places in the graph: the gradients are those of the sum and of the norm.
    let recordedSum = sum.recorded(from: [x, update]) { _ in { [$0, $0] } }
    let norm = RMSNormalization(epsilon: epsilon, output: update.dtype)
    let recordedNorm = normalized.recorded(from: [recordedSum, weight]) {
      norm.gradient([sum, weight.detached], normalized, wanted: $0)
    }
    return (recordedSum, recordedNorm)
  }

  /// The definition in other operations.
  package func composed(_ x: Tensor, _ update: Tensor, weight: Tensor) -> (sum: Tensor, normalized: Tensor) {
    let sum = x + update
    return (sum, sum.rmsNormalized(weight: weight, epsilon: epsilon, output: update.dtype))
  }
}

extension Tensor {
  /// This tensor plus `update` (of its shape), and that sum RMS-normalised over the last axis with `weight` [last axis]:
  /// the same bits as `+` and `rmsNormalized`, in one pass.
  public func adding(
    _ update: Tensor, normalizedBy weight: Tensor, epsilon: Float
  ) -> (sum: Tensor, normalized: Tensor) {
    AddRMSNormalization(epsilon: epsilon)(self, update, weight: weight)
  }
}
