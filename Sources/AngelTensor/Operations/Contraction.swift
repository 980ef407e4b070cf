import AngelCore
import CAngelKernels

/// Batched matrix product of dense tensors (primitives.h): the plain one that composed forms use.
private struct Contraction: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_contract }
  let transposesRight: Bool

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (left, right) = (inputs[0], inputs[1])
    precondition(
      left.dtype == right.dtype && left.shape.rank == 3 && right.shape.rank == 3 && left.shape[0] == right.shape[0]
        && left.shape[2] == right.shape[transposesRight ? 2 : 1], "matmul: \(left) and \(right) do not contract")
    return TensorSpecification([left.shape[0], left.shape[1], right.shape[transposesRight ? 1 : 2]], left.dtype)
  }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_contract_arguments {
    let (m, n, k) = (output.shape[1], output.shape[2], inputs[0].shape[2])
    return angel_contract_arguments(
      left: UnsafeRawPointer(inputs[0].address), right: UnsafeRawPointer(inputs[1].address), output: output.address,
      batch: Int64(output.shape[0]), m: Int64(m), n: Int64(n), k: Int64(k),
      left_batch: Int64(m * k), left_m: Int64(k), left_k: 1, right_batch: Int64(n * k),
      right_k: transposesRight ? 1 : Int64(n), right_n: transposesRight ? Int64(k) : 1)
  }

  func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(bytes: output.byteCount, multiplyAdds: output.shape.elementCount * inputs[0].shape[2])
  }
}

extension Tensor {
  /// Batched matrix product: [B, M, K] times [B, K, N], or [B, N, K] when `transposingRight`: [B, M, N].
  public func matmul(_ right: Tensor, transposingRight: Bool = false) -> Tensor {
    Contraction(transposesRight: transposingRight)(self, right)
  }
}
