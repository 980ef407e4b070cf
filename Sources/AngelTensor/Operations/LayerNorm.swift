public import AngelCore
package import CAngelKernels

/// Normalisation to mean 0 and variance 1 over the last axis (arXiv:1607.06450, layernorm.h).
package struct LayerNormalization: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_layernorm }
  package let epsilon: Float
  /// The result's dtype; nil: that of the input.
  package var output: DType?

  package init(epsilon: Float, output: DType? = nil) {
    self.epsilon = epsilon
    self.output = output
  }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, weight, bias) = (inputs[0], inputs[1], inputs[2])
    precondition(
      weight.shape == [x.shape[-1]] && bias == weight && (weight.dtype == x.dtype || x.dtype == .bfloat16),
      "layernorm: weight \(weight) and bias \(bias) do not fit \(x)")
    return TensorSpecification(x.shape, output ?? x.dtype)
  }

  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(inputs[0].dtype, output) }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_layernorm_arguments {
    let width = output.shape[-1]
    return angel_layernorm_arguments(
      input: UnsafeRawPointer(inputs[0].address), weight: inputs[1].floats, bias: inputs[2].floats, output: output.address,
      rows: Int64(output.shape.elementCount / width), width: Int64(width), epsilon: epsilon)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, weight, bias) = (inputs[0], inputs[1], inputs[2])
    let centred = x - x.mean(over: -1)
    let result = centred / sqrt(centred.squared().mean(over: -1) + Double(epsilon)) * weight + bias
    return output.map { result.cast(to: $0) } ?? result
  }
}

extension Tensor {
  /// (x - mean) / sqrt(variance + epsilon) * weight + bias over the last axis; `weight` and `bias` are [last axis].
  /// The result has this tensor's dtype, or `output`.
  public func layerNormalized(weight: Tensor, bias: Tensor, epsilon: Float, output: DType? = nil) -> Tensor {
    LayerNormalization(epsilon: epsilon, output: output)(self, weight, bias)
  }
}
