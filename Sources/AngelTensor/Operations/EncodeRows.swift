package import AngelCore
package import CAngelKernels

/// float32 rows as blocks of a GGUF format, the way files hold them (encode_rows.h).
package struct EncodeRows: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_encode_rows }
  let target: DType

  /// The formats that values can be rounded to.
  package static let targets = BlockFormat.allCases.map(\.dtype)

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    precondition(
      inputs[0].dtype == .float32 && inputs[0].shape[-1] % target.blockElements == 0,
      "encode_rows: \(inputs[0]) is not f32 with rows of whole \(target.name) blocks")
    return TensorSpecification(inputs[0].shape, target)
  }

  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(.float32, target) }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_encode_rows_arguments {
    let depth = output.shape[-1]
    return angel_encode_rows_arguments(
      input: inputs[0].floats, output: output.address, rows: Int64(output.shape.elementCount / max(1, depth)),
      depth: Int64(depth))
  }
}

extension Tensor {
  /// These float32 rows rounded to a block format by its reference rule; `dtype` is one of `EncodeRows.targets`. Super blocks of
  /// 256 have no rule but a search.
  package func encodedRows(as dtype: DType) -> Tensor {
    dtype.blockElements == 256 ? fittedRows(as: dtype) : EncodeRows(target: dtype)(self)
  }
}
