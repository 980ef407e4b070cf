import AngelCore
package import CAngelKernels

/// Normalisation to mean 0 and variance 1 over the last axis (arXiv:1607.06450, layernorm.h).
package struct LayerNormalization: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_layernorm }
  package let epsilon: Float

  package init(epsilon: Float) { self.epsilon = epsilon }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, weight, bias) = (inputs[0], inputs[1], inputs[2])
    precondition(
      weight == TensorSpecification([x.shape[-1]], x.dtype) && bias == weight,
      "layernorm: weight \(weight) and bias \(bias) do not fit \(x)")
    return x
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_layernorm_arguments {
    let width = output.shape[-1]
    return angel_layernorm_arguments(
      input: inputs[0].floats, weight: inputs[1].floats, bias: inputs[2].floats, output: output.mutableFloats,
      rows: Int64(output.shape.elementCount / width), width: Int64(width), epsilon: epsilon)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, weight, bias) = (inputs[0], inputs[1], inputs[2])
    let centred = x - x.mean(over: -1)
    return centred / sqrt(centred.squared().mean(over: -1) + Double(epsilon)) * weight + bias
  }
}

extension Tensor {
  /// (x - mean) / sqrt(variance + epsilon) * weight + bias over the last axis; `weight` and `bias` are [last axis].
  public func layerNormalized(weight: Tensor, bias: Tensor, epsilon: Float) -> Tensor {
    LayerNormalization(epsilon: epsilon)(self, weight, bias)
  }
}
