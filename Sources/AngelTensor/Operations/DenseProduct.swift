package import AngelCore

/// The product of two dense matrices, either transposed, plus a bias: the linear layers of training (arrange.h, matmul.h).
///
/// Two kernels and not one, so it states the parts of a `TensorOperation` itself. A result has the bits of a product with the
/// packed matrix of the same values: one chain over the depth, the bias added last.
package struct DenseProduct: Sendable {
  package var transposesLeft = false
  package var transposesRight = false
  /// The result's dtype; nil: that of the left operand.
  package var output: DType?

  package init(transposesLeft: Bool = false, transposesRight: Bool = false, output: DType? = nil) {
    self.transposesLeft = transposesLeft
    self.transposesRight = transposesRight
    self.output = output
  }

  /// left [M, K] ([K, M] when transposed) times right [K, N] ([N, K] when transposed), plus `bias` [N] in float32: [M, N].
  ///
  /// Operands in float32 or bfloat16, of which one in bfloat16 rounds the other; sums are float32, rounded once for a result in
  /// bfloat16. Other dtypes run composed.
  package func callAsFunction(_ left: Tensor, _ right: Tensor, bias: Tensor? = nil) -> Tensor {
    check(left.specification, right.specification, bias?.specification)
    let backend = left.backend
    guard let kernels = DenseKernels(left.dtype, right.dtype, on: backend) else {
      return composed(left, right, bias: bias)
    }
    let shape: Shape = [left.shape[transposesLeft ? 1 : 0], right.shape[transposesRight ? 0 : 1]]
    let result = Tensor(uninitialized: TensorSpecification(shape, output ?? left.dtype), on: backend)
    kernels.multiply(
      kernels.rows(of: left, transposed: transposesLeft), kernels.panels(of: right, transposed: !transposesRight),
      bias: bias, into: result)
    return result.recorded(from: [left, right] + (bias.map { [$0] } ?? [])) {
      gradient(left, right, wanted: $0)
    }
  }

  private func check(_ left: TensorSpecification, _ right: TensorSpecification, _ bias: TensorSpecification?) {
    precondition(
      left.shape.rank == 2 && right.shape.rank == 2
        && left.shape[transposesLeft ? 0 : 1] == right.shape[transposesRight ? 1 : 0],
      "matmul: \(left) and \(right) do not contract")
    let columns = right.shape[transposesRight ? 0 : 1]
    precondition(
      bias == nil || bias?.shape == [columns], "matmul: bias \(bias?.description ?? "") for \(columns) columns")
  }

  package func composed(_ left: Tensor, _ right: Tensor, bias: Tensor? = nil) -> Tensor {
    func batch(_ matrix: Tensor) -> Tensor { matrix.reshaped([1] + matrix.shape.array) }
    let product = batch(left)
      .matmul(batch(right), transposingLeft: transposesLeft, transposingRight: transposesRight)
    let result = product.reshaped(product.shape[1], product.shape[2])
    return bias.map { result + $0 } ?? result
  }

  /// dleft = dy · rightᵀ, dright = leftᵀ · dy, each in the dtype that its operand's gradients are summed in; dbias = sum(dy).
  private func gradient(_ left: Tensor, _ right: Tensor, wanted: [Bool]) -> BackwardFunction {
    let dtypes = [left, right].map { $0.gradientNode?.specification.dtype ?? $0.dtype }
    let (savedLeft, savedRight) = (wanted[1] ? left.detached : nil, wanted[0] ? right.detached : nil)
    let (transposesLeft, transposesRight) = (transposesLeft, transposesRight)
    return { gradient in
      let leftGradient = savedRight.map {
        transposesLeft
          ? DenseProduct(transposesLeft: transposesRight, transposesRight: true, output: dtypes[0])($0, gradient)
          : DenseProduct(transposesRight: !transposesRight, output: dtypes[0])(gradient, $0)
      }
      let rightGradient = savedLeft.map {
        transposesRight
          ? DenseProduct(transposesLeft: true, transposesRight: transposesLeft, output: dtypes[1])(gradient, $0)
          : DenseProduct(transposesLeft: !transposesLeft, output: dtypes[1])($0, gradient)
      }
      guard wanted.count > 2 else { return [leftGradient, rightGradient] }
      return [leftGradient, rightGradient, wanted[2] ? gradient.columnSums() : nil]
    }
  }
}

extension Tensor {
  /// x Wᵀ + bias for x [R, inputs], a dense `weight` [outputs, inputs] and `bias` [outputs]: [R, outputs].
  public func matmul(_ weight: Tensor, bias: Tensor?) -> Tensor {
    DenseProduct(transposesRight: true)(self, weight, bias: bias)
  }
}
