package import AngelCore
package import CAngelKernels

/// float32 rows in the form that products read: int8 with one scale per 32 elements, or bfloat16 (quantize_rows.h).
package struct QuantizeRows: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_quantize_rows }
  /// int8Rows or bfloat16Rows.
  let dtype: DType

  package init(to dtype: DType) {
    precondition(dtype == .int8Rows || dtype == .bfloat16Rows, "quantize_rows: \(dtype.name) is no dtype of rows")
    self.dtype = dtype
  }

  /// Bytes of one row of `depth` elements.
  package static func rowBytes(_ dtype: DType, depth: Int) -> Int {
    Int(dtype == .int8Rows ? angel_int8_row_bytes(Int64(depth)) : angel_bf16_row_bytes(Int64(depth)))
  }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    precondition(
      inputs[0].dtype == .float32 && inputs[0].shape[-1] % dtype.blockElements == 0,
      "quantize_rows: \(inputs[0]) is not f32 with rows of whole blocks of \(dtype.blockElements)")
    return TensorSpecification(inputs[0].shape, dtype)
  }

  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(.float32, dtype) }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_quantize_rows_arguments {
    let depth = output.shape[-1]
    return angel_quantize_rows_arguments(
      input: inputs[0].floats, output: output.address, rows: Int64(output.shape.elementCount / depth),
      depth: Int64(depth))
  }
}

extension Tensor {
  /// These float32 activations as int8 or bfloat16 rows, remembered so that layers reading the same tensor share them.
  package func quantizedRows(_ dtype: DType) -> Tensor {
    // A view of part of the storage has rows of its own; only the whole may be remembered.
    guard byteOffset == 0, specification.byteCount == storage.allocation.byteCount else {
      return QuantizeRows(to: dtype)(self)
    }
    return storage.derived(.rows(dtype)) { QuantizeRows(to: dtype)(self) }.reshaped(shape.array)
  }
}
