public import AngelCore
import AngelMemory
import CAngelKernels

/// A weight matrix [columns, depth] in panels of 16 rows, the one resident layout of every linear weight (pack.h).
///
/// Decode streams it in memory order, prefill reuses each panel for many rows, and both give the same bits.
public struct PackedMatrix: Sendable {
  /// The element type, as in the file.
  public let dtype: DType
  /// Output features: rows of the matrix.
  public let columns: Int
  /// Input features: elements of a row.
  public let depth: Int
  let storage: Storage

  /// The backend that holds it.
  public var backend: any Backend { storage.backend }
  /// Resident bytes, padding included.
  public var byteCount: Int { storage.allocation.byteCount }

  /// Bytes a packed matrix takes, or nil when the dtype has no packed form or `depth` is not whole blocks.
  public static func byteCount(dtype: DType, columns: Int, depth: Int) -> Int? {
    let bytes = angel_packed_bytes(angel_dtype(dtype.rawValue), Int64(columns), Int64(depth))
    return bytes < 0 ? nil : Int(bytes)
  }

  /// Packs rows as a file stores them; `rowOrder[i]` is the source row of row `i`, nil the identity.
  ///
  /// `rows` must hold exactly the matrix, or with an order whole rows that it stays within, where the backend's kernels
  /// can read it, until the next synchronisation.
  package init(
    rows: UnsafeRawBufferPointer, dtype: DType, columns: Int, depth: Int, rowOrder: [Int32]? = nil,
    on backend: any Backend
  ) {
    guard let byteCount = Self.byteCount(dtype: dtype, columns: columns, depth: depth) else {
      preconditionFailure("pack: \(dtype.name) [\(columns), \(depth)] has no packed form")
    }
    let (rowCount, excess) = rows.count.quotientAndRemainder(dividingBy: max(1, dtype.byteCount(of: depth)))
    precondition(
      excess == 0 && (rowCount == columns || rowOrder != nil), "pack: \(rows.count) bytes for \(columns) rows")
    precondition(
      rowOrder.map { $0.count == columns && $0.allSatisfy { $0 >= 0 && $0 < rowCount } } ?? true,
      "pack: a row order of \(rowOrder?.count ?? 0) rows for \(columns), out of \(rowCount)")
    self.dtype = dtype
    self.columns = columns
    self.depth = depth
    self.storage = Storage(byteCount: byteCount, kind: .weights, on: backend)
    func launch(_ order: UnsafePointer<Int32>?) {
      let arguments = angel_pack_arguments(
        source: rows.baseAddress, target: storage.allocation.address, row_order: order, columns: Int64(columns),
        depth: Int64(depth))
      backend.launch(ANGEL_FAMILY_pack, KernelDTypes(dtype), arguments, Work(bytes: 2 * rows.count))
    }
    if let rowOrder { rowOrder.withUnsafeBufferPointer { launch($0.baseAddress) } } else { launch(nil) }
  }

  /// The float32 values of rows `tokens` ([R] int32, each a valid row): [R, depth].
  public func rows(_ tokens: Tensor) -> Tensor { EmbeddingRows(matrix: self)(tokens) }

  /// The same matrix with its values rounded to another dense dtype (f32, f16 or bf16), packed anew.
  package func converted(to dtype: DType) -> PackedMatrix {
    guard dtype != self.dtype else { return self }
    return PackedMatrix(dequantized(), as: dtype)
  }

  /// The values of a [columns, depth] tensor rounded to a dense dtype (f32, f16 or bf16).
  package init(_ values: Tensor, as dtype: DType) { self.init(packing: values.detached.cast(to: dtype)) }

  /// A [columns, depth] tensor of any dtype that has a packed form.
  package init(packing rows: Tensor) {
    let bytes = UnsafeRawBufferPointer(start: rows.address, count: rows.specification.byteCount)
    self = withExtendedLifetime(rows) {
      PackedMatrix(rows: bytes, dtype: rows.dtype, columns: rows.shape[0], depth: rows.shape[1], on: rows.backend)
    }
  }

  /// The same matrix rounded to a block format (one of `EncodeRows.targets`), whose blocks must divide `depth`.
  package func encoded(as dtype: DType) -> PackedMatrix { PackedMatrix(packing: dequantized().encodedRows(as: dtype)) }

  /// The panels as bytes.
  var panels: Tensor { Tensor(shape: [byteCount], dtype: .uint8, storage: storage) }

  /// The transpose in panels, for gradients by what is multiplied: made once and kept beside the matrix. Of a quantised
  /// or 2:4 matrix, which is held for its size, it is made each time and goes with its product.
  func transposedPanels(_ products: DenseKernels) -> Tensor {
    if dtype.isQuantized || dtype.isTwoOfFour { return products.panels(of: dequantized(), transposed: true) }
    return storage.derived(.transposedPanels(products.dtype)) {
      products.panels(of: dequantized(), transposed: true, kind: .weights)
    }
  }

  /// The whole matrix in float32, [columns, depth].
  package func dequantized() -> Tensor { rows(Tensor((0..<Int32(columns)).map { $0 }, on: backend)) }
}

/// Dequantised rows of a packed matrix (embedding.h).
private struct EmbeddingRows: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_embedding }
  let matrix: PackedMatrix

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    precondition(
      inputs[0].dtype == .int32 && inputs[0].shape.rank == 1, "embedding: tokens must be i32 [R], not \(inputs[0])")
    return TensorSpecification([inputs[0].shape[0], matrix.depth], .float32)
  }

  func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(matrix.dtype) }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_embedding_arguments {
    angel_embedding_arguments(
      tokens: inputs[0].int32s, weight: UnsafeRawPointer(matrix.storage.allocation.address),
      output: output.mutableFloats, rows: Int64(output.shape[0]), columns: Int64(matrix.columns),
      depth: Int64(matrix.depth))
  }
}

/// Activations times the transpose of a packed matrix (matmul.h).
private struct PackedProduct: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_matmul }
  let matrix: PackedMatrix
  let bias: Tensor?

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let x = inputs[0]
    precondition(
      x.shape.rank == 2 && x.shape[1] == matrix.depth,
      "matmul: input \(x) against weight \(matrix.dtype.name)[\(matrix.columns), \(matrix.depth)]")
    precondition(
      bias == nil || bias?.specification == TensorSpecification([matrix.columns], .float32),
      "matmul: bias \(bias?.specification.description ?? "") for \(matrix.columns) columns")
    return TensorSpecification([x.shape[0], matrix.columns], x.dtype == .bfloat16 ? .bfloat16 : .float32)
  }

  /// Activations in bfloat16 are rows of products as they are, where rows need no padding.
  func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes {
    guard inputs[0].dtype == .bfloat16 else { return KernelDTypes(inputs[0].dtype, matrix.dtype) }
    return KernelDTypes(matrix.depth % 32 == 0 ? .bfloat16Rows : .bfloat16, matrix.dtype, .bfloat16)
  }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_matmul_arguments {
    angel_matmul_arguments(
      input: UnsafeRawPointer(inputs[0].address), weight: UnsafeRawPointer(matrix.storage.allocation.address),
      bias: bias?.floats, output: output.mutableFloats, rows: Int64(output.shape[0]), depth: Int64(matrix.depth),
      columns: Int64(matrix.columns), accumulates: 0)
  }

  func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(
      bytes: matrix.byteCount + inputs[0].byteCount + output.byteCount,
      multiplyAdds: output.shape.elementCount * matrix.depth)
  }

  func composed(_ inputs: [Tensor]) -> Tensor? {
    precondition(inputs[0].dtype == .float32, "matmul: int8 rows have no composed form")
    let weight = matrix.dequantized().reshaped(1, matrix.columns, matrix.depth)
    let product = inputs[0].reshaped(1, -1, matrix.depth).matmul(weight, transposingRight: true)
    let result = product.reshaped(-1, matrix.columns)
    return bias.map { result + $0 } ?? result
  }

  /// The weight is a constant: dx = dy W.
  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let matrix = matrix
    return { gradient in
      guard let products = DenseKernels(gradient.dtype, gradient.dtype, on: gradient.backend) else {
        return [DenseProduct()(gradient, matrix.dequantized())]
      }
      let result = Tensor(
        uninitialized: TensorSpecification([gradient.shape[0], matrix.depth], gradient.dtype), on: gradient.backend)
      products.multiply(products.rows(of: gradient), matrix.transposedPanels(products), into: result)
      return [result]
    }
  }
}

extension Tensor {
  /// x Wᵀ + bias for x [R, depth] (float32 or int8 rows): [R, columns] float32.
  package func matmul(_ matrix: PackedMatrix, bias: Tensor? = nil) -> Tensor {
    // A trainable bias is an input of its own.
    if let bias, bias.isTrainable {
      let product = PackedProduct(matrix: matrix, bias: nil)(self)
      return (product + bias).cast(to: product.dtype)
    }
    return PackedProduct(matrix: matrix, bias: bias)(self)
  }
}
