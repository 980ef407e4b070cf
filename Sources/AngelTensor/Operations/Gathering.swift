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

  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (indices, count) = (inputs[1], inputs[0].shape[0])
    return { [$0.scattered(to: indices, count: count), nil] }
  }
}

/// Rows summed into a table by index, rows of one index in ascending order (primitives.h).
private struct ScatterAdding: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_scatter_add }
  let count: Int

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (rows, indices) = (inputs[0], inputs[1])
    precondition(
      rows.shape.rank == 2 && indices == TensorSpecification([rows.shape[0]], .int32),
      "scatter_add: rows \(rows) and indices \(indices)")
    return TensorSpecification([count, rows.shape[1]], rows.dtype)
  }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_scatter_add_arguments {
    angel_scatter_add_arguments(
      rows: UnsafeRawPointer(inputs[0].address), indices: inputs[1].int32s, output: output.address,
      row_count: Int64(inputs[0].shape[0]), count: Int64(count), width: Int64(output.shape[1]),
      accumulates: 0)
  }

  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let indices = inputs[1]
    return { [$0.rows(indices), nil] }
  }
}

extension Tensor {
  /// Rows `indices` ([R] int32, each a valid row) of this [N, W] table: [R, W]. Int8 rows move with their scales.
  public func rows(_ indices: Tensor) -> Tensor {
    guard dtype == .int8Rows || dtype == .bfloat16Rows else { return Gathering()(self, indices) }
    let rowBytes = QuantizeRows.rowBytes(dtype, depth: shape[1])
    let bytes = Tensor(shape: [shape[0], rowBytes], dtype: .uint8, storage: storage, byteOffset: byteOffset)
    return Tensor(shape: [indices.shape[0], shape[1]], dtype: dtype, storage: Gathering()(bytes, indices).storage)
  }

  /// Rows `indices` of this [N, W] table in float32, whatever it is held in; gradients by the table are float32 too.
  public func wideRows(_ indices: Tensor) -> Tensor {
    let count = shape[0]
    let rows = Gathering()(detached, indices).cast(to: .float32)
    guard let gradientNode else { return rows }
    // A table that is the output head too has a gradient by then, of its full size: rows are added to that.
    return rows.recorded(
      from: gradientNode, adding: { $1.scatter($0, to: indices) }, { $0.scattered(to: indices, count: count) })
  }

  /// Adds `rows` [R, W] to those of this [N, W] table that have index `indices` ([R] int32), in this tensor's own memory:
  /// only for float32 that nobody else can see.
  private func scatter(_ rows: Tensor, to indices: Tensor) {
    let operation = ScatterAdding(count: shape[0])
    var arguments = operation.arguments([rows, indices], self)
    arguments.accumulates = 1
    backend.launch(
      ANGEL_FAMILY_scatter_add, KernelDTypes(.float32), arguments, Work(bytes: 3 * rows.specification.byteCount),
      keeping: rows, indices)
  }

  /// A table [count, W] whose row `i` is the sum of those rows of this [R, W] tensor that have index `i` ([R] int32, each
  /// below `count`), zero where there are none.
  public func scattered(to indices: Tensor, count: Int) -> Tensor { ScatterAdding(count: count)(self, indices) }
}
