import AngelCore
package import CAngelKernels

/// Activations times the transpose of a dense weight, plus a bias: a linear layer in training (gemm.h).
package struct DenseProduct: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_gemm }

  package init() {}

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, weight) = (inputs[0], inputs[1])
    precondition(
      x.shape.rank == 2 && weight.shape.rank == 2 && x.shape[1] == weight.shape[1] && x.dtype == weight.dtype,
      "gemm: input \(x) against weight \(weight)")
    precondition(
      inputs.count == 2 || inputs[2] == TensorSpecification([weight.shape[0]], x.dtype),
      "gemm: bias \(inputs.last?.description ?? "") for weight \(weight)")
    return TensorSpecification([x.shape[0], weight.shape[0]], x.dtype)
  }

  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes {
    KernelDTypes(inputs[0].dtype, inputs[1].dtype, inputs[0].dtype)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_gemm_arguments {
    let depth = Int64(inputs[0].shape[1])
    return angel_gemm_arguments(
      left: UnsafeRawPointer(inputs[0].address), right: UnsafeRawPointer(inputs[1].address),
      bias: inputs.count > 2 ? UnsafeRawPointer(inputs[2].address) : nil, output: output.address,
      m: Int64(output.shape[0]), n: Int64(output.shape[1]), k: depth, left_m: depth, left_k: 1, right_k: 1,
      right_n: depth, accumulates: 0)
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(
      bytes: inputs[1].byteCount + output.byteCount, multiplyAdds: output.shape.elementCount * inputs[0].shape[1])
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, weight) = (inputs[0], inputs[1])
    let product = x.reshaped([1] + x.shape.array)
      .matmul(weight.reshaped([1] + weight.shape.array), transposingRight: true)
      .reshaped(x.shape[0], weight.shape[0])
    return inputs.count > 2 ? product + inputs[2] : product
  }
}

extension Tensor {
  /// x Wᵀ + bias for x [R, inputs], a dense `weight` [outputs, inputs] and `bias` [outputs]: [R, outputs].
  public func matmul(_ weight: Tensor, bias: Tensor?) -> Tensor {
    bias.map { DenseProduct()(self, weight, $0) } ?? DenseProduct()(self, weight)
  }
}
