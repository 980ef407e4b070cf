package import AngelCore
import CAngelKernels

extension Tensor {
  /// These float32 rows [N, K] as blocks of a GGUF format, rounded so that products with the inputs seen change least
  /// (fit_rows.h). A primitive; `dtype` is a `BlockFormat`'s.
  ///
  /// - Parameters:
  ///   - importance: [K] float32, how much an error of each column weighs; nil: all alike.
  ///   - spreading: what `inverseFactor` made of the inputs' moments [K, K], and the order [K] it has them in: errors are then
  ///     passed on to the columns that follow (GPTQ).
  ///   - whole: [N, K] float32, the rows before some of their elements became the zeros that these have. Such elements stay zero,
  ///     and what they lose is passed on too (SparseGPT, arXiv:2301.00774); only with `spreading`, to q4_0 and q8_0.
  package func fittedRows(
    as dtype: DType, importance: Tensor? = nil, spreading: (factor: Tensor, order: Tensor)? = nil, whole: Tensor? = nil
  ) -> Tensor {
    let (rows, depth) = (shape[0], shape[1])
    precondition(
      self.dtype == .float32 && shape.rank == 2 && depth % dtype.blockElements == 0,
      "fit_rows: \(specification) as \(dtype.name)")
    precondition(
      importance.map { $0.specification == TensorSpecification([depth], .float32) } ?? true,
      "fit_rows: \(specification) with importance \(importance?.specification.description ?? "")")
    precondition(
      spreading.map {
        $0.factor.specification == TensorSpecification([depth, depth], .float32)
          && $0.order.specification == TensorSpecification([depth], .int32)
      } ?? true, "fit_rows: \(specification) with a factor of \(spreading?.factor.specification.description ?? "")")
    precondition(
      whole.map { $0.specification == specification && spreading != nil && dtype.twoOfFour != nil } ?? true,
      "fit_rows: \(specification) as \(dtype.name) out of \(whole?.specification.description ?? "")")
    let output = Tensor(uninitialized: TensorSpecification(shape, dtype), on: backend, kind: .workspace)
    func scratch(_ columns: Int, _ dtype: DType) -> Tensor {
      Tensor(uninitialized: TensorSpecification([rows, columns], dtype), on: backend, kind: .workspace)
    }
    let (left, quants) = (scratch(depth + depth / 8, .float32), scratch(depth, .uint8))
    let arguments = angel_fit_rows_arguments(
      input: floats, whole: whole?.floats, importance: importance?.floats, factor: spreading?.factor.floats,
      order: spreading?.order.int32s, output: output.address, scratch: left.mutableFloats,
      quants: quants.address.assumingMemoryBound(to: UInt8.self),
      rows: Int64(rows), depth: Int64(depth))
    // Some twenty scales are tried for each block; with a factor each value takes from all that follow.
    let spread = spreading == nil ? 0 : shape.elementCount * depth / 2
    backend.launch(
      ANGEL_FAMILY_fit_rows, KernelDTypes(.float32, dtype), arguments,
      Work(bytes: specification.byteCount, multiplyAdds: 100 * shape.elementCount + spread),
      keeping: self, whole, importance, spreading, left, quants)
    return output
  }
}
