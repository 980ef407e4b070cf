public import AngelCore
package import CAngelKernels

/// Root mean square normalisation over the last axis (arXiv:1910.07467, rmsnorm.h).
package struct RMSNormalization: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_rmsnorm }
  package let epsilon: Float
  /// The result's dtype; nil: that of the input.
  package var output: DType?

  package init(epsilon: Float, output: DType? = nil) {
    self.epsilon = epsilon
    self.output = output
  }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, weight) = (inputs[0], inputs[1])
    precondition(
      weight.shape.rank == 1 && weight.shape[0] == x.shape[-1]
        && (weight.dtype == x.dtype || x.dtype == .bfloat16),
      "rmsnorm: weight \(weight) does not fit \(x)")
    return TensorSpecification(x.shape, output ?? x.dtype)
  }

  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(inputs[0].dtype, output) }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_rmsnorm_arguments {
    let width = output.shape[-1]
    return angel_rmsnorm_arguments(
      input: UnsafeRawPointer(inputs[0].address), weight: inputs[1].floats, output: output.address,
      rows: Int64(output.shape.elementCount / width), width: Int64(width), epsilon: epsilon)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, weight) = (inputs[0], inputs[1])
    let result = x / sqrt(x.squared().mean(over: -1) + Double(epsilon)) * weight
    return output.map { result.cast(to: $0) } ?? result
  }
}

extension Tensor {
  /// x / sqrt(mean(x²) + epsilon) * weight over the last axis; `weight` is [last axis].
  /// The result has this tensor's dtype, or `output`.
  public func rmsNormalized(weight: Tensor, epsilon: Float, output: DType? = nil) -> Tensor {
    RMSNormalization(epsilon: epsilon, output: output)(self, weight)
  }

  package var floats: UnsafePointer<Float> { UnsafePointer(address.assumingMemoryBound(to: Float.self)) }
  package var mutableFloats: UnsafeMutablePointer<Float> { address.assumingMemoryBound(to: Float.self) }
  package var int32s: UnsafePointer<Int32> { UnsafePointer(address.assumingMemoryBound(to: Int32.self)) }
}
