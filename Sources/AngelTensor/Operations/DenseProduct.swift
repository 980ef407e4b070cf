import AngelCore
package import CAngelKernels

/// The product of two dense matrices, either transposed, plus a bias: the linear layers of training (gemm.h).
///
/// Inputs are left [M, K] ([K, M] when transposed), right [K, N] ([N, K] when transposed) and, if any, the bias [N].
package struct DenseProduct: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_gemm }
  package var transposesLeft = false
  package var transposesRight = false

  package init(transposesLeft: Bool = false, transposesRight: Bool = false) {
    self.transposesLeft = transposesLeft
    self.transposesRight = transposesRight
  }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (left, right) = (inputs[0], inputs[1])
    precondition(
      left.shape.rank == 2 && right.shape.rank == 2 && left.dtype == right.dtype
        && left.shape[transposesLeft ? 0 : 1] == right.shape[transposesRight ? 1 : 0],
      "gemm: \(left) and \(right) do not contract")
    let columns = right.shape[transposesRight ? 0 : 1]
    precondition(
      inputs.count == 2 || inputs[2] == TensorSpecification([columns], left.dtype),
      "gemm: bias \(inputs.last?.description ?? "") for \(columns) columns")
    return TensorSpecification([left.shape[transposesLeft ? 1 : 0], columns], left.dtype)
  }

  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes {
    KernelDTypes(inputs[0].dtype, inputs[1].dtype, inputs[0].dtype)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_gemm_arguments {
    let (rows, columns) = (output.shape[0], output.shape[1])
    let depth = inputs[0].shape[transposesLeft ? 0 : 1]
    return angel_gemm_arguments(
      left: UnsafeRawPointer(inputs[0].address), right: UnsafeRawPointer(inputs[1].address),
      bias: inputs.count > 2 ? UnsafeRawPointer(inputs[2].address) : nil, output: output.address,
      m: Int64(rows), n: Int64(columns), k: Int64(depth), left_m: transposesLeft ? 1 : Int64(depth),
      left_k: transposesLeft ? Int64(rows) : 1, right_k: transposesRight ? 1 : Int64(columns),
      right_n: transposesRight ? Int64(depth) : 1, accumulates: 0)
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(
      bytes: inputs[1].byteCount + output.byteCount,
      multiplyAdds: output.shape.elementCount * inputs[0].shape[transposesLeft ? 0 : 1])
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    func batch(_ matrix: Tensor) -> Tensor { matrix.reshaped([1] + matrix.shape.array) }
    let product = batch(inputs[0])
      .matmul(batch(inputs[1]), transposingLeft: transposesLeft, transposingRight: transposesRight)
    let result = product.reshaped(product.shape[1], product.shape[2])
    return inputs.count > 2 ? result + inputs[2] : result
  }

  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (left, right) = (wanted[1] ? inputs[0] : nil, wanted[0] ? inputs[1] : nil)
    return { gradient in
      let leftGradient = right.map {
        transposesLeft
          ? DenseProduct(transposesLeft: transposesRight, transposesRight: true)($0, gradient)
          : DenseProduct(transposesRight: !transposesRight)(gradient, $0)
      }
      let rightGradient = left.map {
        transposesRight
          ? DenseProduct(transposesLeft: true, transposesRight: transposesLeft)(gradient, $0)
          : DenseProduct(transposesLeft: !transposesLeft)($0, gradient)
      }
      guard wanted.count > 2 else { return [leftGradient, rightGradient] }
      return [leftGradient, rightGradient, wanted[2] ? gradient.sum(over: 0).reshaped(-1) : nil]
    }
  }
}

extension Tensor {
  /// x Wᵀ + bias for x [R, inputs], a dense `weight` [outputs, inputs] and `bias` [outputs]: [R, outputs].
  public func matmul(_ weight: Tensor, bias: Tensor?) -> Tensor {
    let product = DenseProduct(transposesRight: true)
    return bias.map { product(self, weight, $0) } ?? product(self, weight)
  }
}
