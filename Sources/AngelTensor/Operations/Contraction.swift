import AngelCore
import CAngelKernels

/// Batched matrix product of dense tensors (primitives.h): the plain one that composed forms use.
private struct Contraction: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_contract }
  let transposesLeft: Bool
  let transposesRight: Bool

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (left, right) = (inputs[0], inputs[1])
    precondition(
      left.dtype == right.dtype && left.shape.rank == 3 && right.shape.rank == 3 && left.shape[0] == right.shape[0]
        && left.shape[transposesLeft ? 1 : 2] == right.shape[transposesRight ? 2 : 1],
      "matmul: \(left) and \(right) do not contract")
    return TensorSpecification(
      [left.shape[0], left.shape[transposesLeft ? 2 : 1], right.shape[transposesRight ? 1 : 2]], left.dtype)
  }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_contract_arguments {
    let (m, n, k) = (output.shape[1], output.shape[2], inputs[0].shape[transposesLeft ? 1 : 2])
    return angel_contract_arguments(
      left: UnsafeRawPointer(inputs[0].address), right: UnsafeRawPointer(inputs[1].address), output: output.address,
      batch: Int64(output.shape[0]), m: Int64(m), n: Int64(n), k: Int64(k),
      left_batch: Int64(m * k), left_m: transposesLeft ? 1 : Int64(k), left_k: transposesLeft ? Int64(m) : 1,
      right_batch: Int64(n * k),
      right_k: transposesRight ? 1 : Int64(n), right_n: transposesRight ? Int64(k) : 1)
  }

  func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(bytes: output.byteCount, multiplyAdds: output.shape.elementCount * inputs[0].shape[transposesLeft ? 1 : 2])
  }

  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (left, right) = (wanted[1] ? inputs[0] : nil, wanted[0] ? inputs[1] : nil)
    return { gradient in
      let leftGradient = right.map {
        transposesLeft
          ? $0.matmul(gradient, transposingLeft: transposesRight, transposingRight: true)
          : gradient.matmul($0, transposingRight: !transposesRight)
      }
      let rightGradient = left.map {
        transposesRight
          ? gradient.matmul($0, transposingLeft: true, transposingRight: transposesLeft)
          : $0.matmul(gradient, transposingLeft: !transposesLeft)
      }
      return [leftGradient, rightGradient]
    }
  }
}

extension Tensor {
  /// Batched matrix product: [B, M, K] ([B, K, M] when `transposingLeft`) times [B, K, N] ([B, N, K] when
  /// `transposingRight`): [B, M, N].
  public func matmul(_ right: Tensor, transposingLeft: Bool = false, transposingRight: Bool = false) -> Tensor {
    Contraction(transposesLeft: transposingLeft, transposesRight: transposingRight)(self, right)
  }
}
