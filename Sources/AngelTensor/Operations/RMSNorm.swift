import AngelCore
package import CAngelKernels

/// Root mean square normalisation over the last axis (arXiv:1910.07467, rmsnorm.h).
package struct RMSNormalization: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_rmsnorm }
  package let epsilon: Float

  package init(epsilon: Float) { self.epsilon = epsilon }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, weight) = (inputs[0], inputs[1])
    precondition(
      weight.shape.rank == 1 && weight.shape[0] == x.shape[-1] && weight.dtype == x.dtype,
      "rmsnorm: weight \(weight) does not fit \(x)")
    return x
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_rmsnorm_arguments {
    let width = output.shape[-1]
    return angel_rmsnorm_arguments(
      input: inputs[0].floats, weight: inputs[1].floats, output: output.mutableFloats,
      rows: Int64(output.shape.elementCount / width), width: Int64(width), epsilon: epsilon)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, weight) = (inputs[0], inputs[1])
    return x / sqrt(x.squared().mean(over: -1) + Double(epsilon)) * weight
  }
}

extension Tensor {
  /// x / sqrt(mean(x²) + epsilon) * weight over the last axis; `weight` is [last axis].
  public func rmsNormalized(weight: Tensor, epsilon: Float) -> Tensor {
    RMSNormalization(epsilon: epsilon)(self, weight)
  }

  package var floats: UnsafePointer<Float> { UnsafePointer(address.assumingMemoryBound(to: Float.self)) }
  package var mutableFloats: UnsafeMutablePointer<Float> { address.assumingMemoryBound(to: Float.self) }
  package var int32s: UnsafePointer<Int32> { UnsafePointer(address.assumingMemoryBound(to: Int32.self)) }
}
