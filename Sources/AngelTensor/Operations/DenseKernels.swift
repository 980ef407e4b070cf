import AngelCore
import AngelMemory
import CAngelKernels

/// Products of matrices that change from step to step: one operand arranged as rows, the other as panels (arrange.h,
/// matmul.h). Both live no longer than the product.
struct DenseKernels {
  /// What is multiplied: float32 or bfloat16, with sums in float32.
  let dtype: DType
  let backend: any Backend

  /// Nil where the backend lacks the kernels, or for other dtypes. Bfloat16 on either side rounds the other.
  init?(_ left: DType, _ right: DType, on backend: any Backend) {
    guard [left, right].allSatisfy({ $0 == .float32 || $0 == .bfloat16 }) else { return nil }
    dtype = left == .bfloat16 || right == .bfloat16 ? .bfloat16 : .float32
    self.backend = backend
    guard backend.kernel(ANGEL_FAMILY_arrange_panels, KernelDTypes(.float32, dtype)) != nil else { return nil }
  }

  var rowDType: DType { dtype == .bfloat16 ? .bfloat16Rows : .float32 }

  /// The rows of `matrix`, or its columns when it is transposed: [lines, depth]. Rows that lie as products read them are not
  /// copied.
  func rows(of matrix: Tensor, transposed: Bool = false) -> Tensor {
    if matrix.dtype == .bfloat16Rows && !transposed { return matrix }
    if !transposed && matrix.dtype == .float32 && dtype == .float32 { return matrix }
    if !transposed && matrix.dtype == .bfloat16 && matrix.shape[1] % 32 == 0 {
      return Tensor(shape: matrix.shape, dtype: .bfloat16Rows, storage: matrix.storage, byteOffset: matrix.byteOffset)
    }
    let shape: Shape = transposed ? [matrix.shape[1], matrix.shape[0]] : matrix.shape
    let target = Tensor(uninitialized: TensorSpecification(shape, rowDType), on: backend, kind: .workspace)
    arrange(matrix, transposed: transposed, ANGEL_FAMILY_arrange_rows, into: target, lines: shape[0])
    return target
  }

  /// The rows of `matrix`, or its columns when it is transposed, as columns of panels.
  func panels(of matrix: Tensor, transposed: Bool = false, kind: MemoryKind = .workspace) -> Tensor {
    let (lines, depth) = transposed ? (matrix.shape[1], matrix.shape[0]) : (matrix.shape[0], matrix.shape[1])
    guard let byteCount = PackedMatrix.byteCount(dtype: dtype, columns: lines, depth: depth) else {
      preconditionFailure("matmul: \(dtype.name) has no panels")
    }
    let target = Tensor(uninitialized: TensorSpecification([byteCount], .uint8), on: backend, kind: kind)
    arrange(matrix, transposed: transposed, ANGEL_FAMILY_arrange_panels, into: target, lines: lines)
    return target
  }

  private func arrange(
    _ matrix: Tensor, transposed: Bool, _ family: angel_family, into target: Tensor, lines: Int
  ) {
    let targetDType = family == ANGEL_FAMILY_arrange_rows ? rowDType : dtype
    let source: DType = matrix.dtype == .bfloat16Rows ? .bfloat16 : matrix.dtype
    // Rows in bfloat16 are padded to whole lines of memory.
    let stride =
      matrix.dtype == .bfloat16Rows ? QuantizeRows.rowBytes(.bfloat16Rows, depth: matrix.shape[1]) / 2 : matrix.shape[1]
    let arguments = angel_arrange_arguments(
      source: UnsafeRawPointer(matrix.address), target: target.address, lines: Int64(lines),
      depth: Int64(matrix.shape.elementCount / Swift.max(1, lines)), line_stride: transposed ? 1 : Int64(stride),
      depth_stride: transposed ? Int64(stride) : 1)
    let work = Work(bytes: matrix.specification.byteCount + target.specification.byteCount)
    backend.launch(family, KernelDTypes(source, targetDType), arguments, work, keeping: matrix, target)
  }

  /// output [R, N] = rows [R, K] times panels of N columns, plus `bias` [N]; or added to what `output` holds, where each sum
  /// goes on from.
  func multiply(_ rows: Tensor, _ panels: Tensor, bias: Tensor? = nil, into output: Tensor, accumulates: Bool = false) {
    let narrow: DType? = output.dtype == .bfloat16 ? .bfloat16 : nil
    let depth = rows.shape[1]
    // Kernels write a sum with its first term; a pass without rows has none, and its weights' gradients are zero.
    guard depth > 0 else { return accumulates ? () : output.fill(with: bias ?? output.constant(0)) }
    let arguments = angel_matmul_arguments(
      input: UnsafeRawPointer(rows.address), weight: UnsafeRawPointer(panels.address), bias: bias?.floats,
      output: output.mutableFloats, rows: Int64(output.shape[0]), depth: Int64(depth), columns: Int64(output.shape[1]),
      accumulates: accumulates ? 1 : 0)
    let work = Work(
      bytes: panels.specification.byteCount + output.specification.byteCount,
      multiplyAdds: output.shape.elementCount * depth)
    backend.launch(
      ANGEL_FAMILY_matmul, KernelDTypes(rowDType, dtype, narrow), arguments, work, keeping: rows, panels, bias, output)
  }
}
