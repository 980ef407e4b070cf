import AngelCore
package import CAngelKernels

/// float32 rows as int8 with one scale per 32 elements (quantize_rows.h).
package struct QuantizeRows: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_quantize_rows }

  package init() {}

  /// Bytes of one row of `depth` elements.
  package static func rowBytes(depth: Int) -> Int { Int(angel_int8_row_bytes(Int64(depth))) }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    precondition(
      inputs[0].dtype == .float32 && inputs[0].shape[-1] % 32 == 0,
      "quantize_rows: \(inputs[0]) is not f32 with rows of whole blocks of 32")
    return TensorSpecification(inputs[0].shape, .int8Rows)
  }

  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(.float32, .int8Rows) }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_quantize_rows_arguments {
    let depth = output.shape[-1]
    return angel_quantize_rows_arguments(
      input: inputs[0].floats, output: output.address, rows: Int64(output.shape.elementCount / depth),
      depth: Int64(depth))
  }
}

extension Tensor {
  /// These float32 activations in int8, remembered so that layers reading the same tensor share them.
  package func quantizedRows() -> Tensor {
    // A view of part of the storage has rows of its own; only the whole may be remembered.
    guard byteOffset == 0, specification.byteCount == storage.allocation.byteCount else { return QuantizeRows()(self) }
    return storage.quantizedRows { QuantizeRows()(self) }.reshaped(shape.array)
  }
}
