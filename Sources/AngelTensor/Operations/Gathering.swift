import AngelCore
import CAngelKernels

/// Rows of a table by index (primitives.h).
private struct Gathering: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_gather }

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (table, indices) = (inputs[0], inputs[1])
    precondition(indices.dtype == .int32 && indices.shape.rank == 1, "gather: indices must be i32 [R], not \(indices)")
    precondition(table.shape.rank == 2, "gather: the table must be [N, W], not \(table)")
    return TensorSpecification([indices.shape[0], table.shape[1]], table.dtype)
  }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_gather_arguments {
    angel_gather_arguments(
      table: UnsafeRawPointer(inputs[0].address),
      indices: inputs[1].address.assumingMemoryBound(to: Int32.self), output: output.address,
      rows: Int64(output.shape[0]), count: Int64(inputs[0].shape[0]), width: Int64(output.shape[1]))
  }
}

extension Tensor {
  /// Rows `indices` ([R] int32, each a valid row) of this [N, W] table: [R, W]. Int8 rows move with their scales.
  public func rows(_ indices: Tensor) -> Tensor {
    guard dtype == .int8Rows else { return Gathering()(self, indices) }
    let rowBytes = QuantizeRows.rowBytes(depth: shape[1])
    let bytes = Tensor(shape: [shape[0], rowBytes], dtype: .uint8, storage: storage, byteOffset: byteOffset)
    return Tensor(shape: [indices.shape[0], shape[1]], dtype: .int8Rows, storage: Gathering()(bytes, indices).storage)
  }
}
