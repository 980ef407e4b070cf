package import AngelCore
import CAngelKernels

extension Tensor {
  /// These float32 rows [N, K] as blocks of a GGUF format, rounded so that products with the inputs seen change least
  /// (fit_rows.h). A primitive; `dtype` is one of `EncodeRows.targets`.
  ///
  /// - Parameters:
  ///   - importance: [K] float32, how much an error of each column weighs; nil: all alike.
  ///   - factor: [K, K] float32, of `inverseFactors`: errors are then passed on to the columns that follow (GPTQ).
  package func fittedRows(as dtype: DType, importance: Tensor? = nil, factor: Tensor? = nil) -> Tensor {
    let (rows, depth) = (shape[0], shape[1])
    precondition(
      self.dtype == .float32 && shape.rank == 2 && depth % dtype.blockElements == 0,
      "fit_rows: \(specification) as \(dtype.name)")
    precondition(
      importance.map { $0.specification == TensorSpecification([depth], .float32) } ?? true
        && factor.map { $0.specification == TensorSpecification([depth, depth], .float32) } ?? true,
      "fit_rows: \(specification) with \(importance?.specification.description ?? factor?.specification.description ?? "")"
    )
    let output = Tensor(uninitialized: TensorSpecification(shape, dtype), on: backend, kind: .workspace)
    let scratch = Tensor(uninitialized: specification, on: backend, kind: .workspace)
    let arguments = angel_fit_rows_arguments(
      input: floats, importance: importance?.floats, factor: factor?.floats, output: output.address,
      scratch: scratch.mutableFloats, rows: Int64(rows), depth: Int64(depth))
    // Some twenty scales are tried for each block; with a factor each value takes from all that follow.
    let spread = factor == nil ? 0 : shape.elementCount * depth / 2
    backend.launch(
      ANGEL_FAMILY_fit_rows, KernelDTypes(.float32, dtype), arguments,
      Work(bytes: specification.byteCount, multiplyAdds: 100 * shape.elementCount + spread),
      keeping: self, importance, factor, scratch)
    return output
  }
}
