public import AngelCore
public import AngelNN
import AngelTensor

/// What the tensors of a checkpoint become in another file, decided before a byte is written.
public struct ConversionPlan {
  /// The layout of the new files.
  public let layout: Checkpoint.Layout
  /// The type of matrices; nil keeps each tensor's own, or float32 where the layout has no such type.
  public let matrixType: DType?

  public init(layout: Checkpoint.Layout, matrixType: DType?) {
    self.layout = layout
    self.matrixType = matrixType
  }

  /// The types that can be written, by layout.
  public static func types(in layout: Checkpoint.Layout) -> [DType] {
    let dense: [DType] = [.float32, .float16, .bfloat16]
    return layout == .gguf ? dense + EncodeRows.targets : dense
  }

  // MARK: Another layout

  /// The parameters of a model under the names, in the row order and in the types of the other layout.
  public func tensors(
    of model: some Module, names: NameTable, from checkpoint: Checkpoint
  ) throws -> [TensorSource] {
    var sources: [(tensor: TensorSource, role: Parameter.Role)] = []
    for (path, parameter) in model.parameterShapes() {
      guard let source = names.tensor(forParameter: path, in: checkpoint.layout),
        let target = names.tensor(forParameter: path, in: layout)
      else { preconditionFailure("the model's name table has no entry for '\(path)'") }
      let record = try checkpoint.tensor(source.name)
      guard record.shape == parameter.shape else {
        throw CheckpointError.damaged(
          path: checkpoint.path, format: "checkpoint",
          reason: "tensor \(quoted(source.name)) has shape \(record.shape), the configuration asks for "
            + "\(parameter.shape)")
      }
      let order = RowOrder.order(from: source.rows, to: target.rows, count: record.shape[0])
      let dtype = try type(of: record, parameter.role, called: target.name)
      sources.append(
        (
          TensorSource(
            name: target.name, dtype: dtype, shape: record.shape, pieces: [.rows(record, order: order)]),
          parameter.role
        ))
    }
    if layout == .huggingFace { try narrowVectors(&sources) }
    return sources.map(\.tensor)
  }

  private func type(of record: TensorRecord, _ role: Parameter.Role, called name: String) throws -> DType {
    guard record.dtype.isFloatingPoint || record.dtype.isQuantized else {
      throw CheckpointError.invalidTensor(
        name: name, path: "the new file", reason: "its type \(record.dtype.name) holds no weights")
    }
    switch role {
    case .vector: return .float32
    case .matrix: return try matrixType(for: record, called: name)
    }
  }

  private func matrixType(for record: TensorRecord, called name: String) throws -> DType {
    if let matrixType {
      guard record.shape.rank > 0, record.shape[-1] % matrixType.blockElements == 0 else {
        throw CheckpointError.invalidTensor(
          name: name, path: "the new file",
          reason: "its rows of \(record.shape) are not whole \(matrixType.name) blocks of \(matrixType.blockElements); "
            + "choose f16 or bf16")
      }
      return matrixType
    }
    if record.dtype == .float64 { return .float32 }
    return layout == .gguf || !record.dtype.isQuantized ? record.dtype : .float32
  }

  /// Norms and biases are float32 in GGUF. They go back to the 16-bit type of the matrices where that loses nothing, so
  /// that a folder that became a file becomes the same folder again.
  private func narrowVectors(_ sources: inout [(tensor: TensorSource, role: Parameter.Role)]) throws {
    let types = Set(sources.filter { $0.role == .matrix }.map(\.tensor.dtype))
    guard types.count == 1, let type = types.first, type == .float16 || type == .bfloat16 else { return }
    for source in sources where source.role == .vector {
      guard try source.tensor.isExact(in: type) else { return }
    }
    for index in sources.indices where sources[index].role == .vector { sources[index].tensor.dtype = type }
  }

  // MARK: The same layout

  /// The tensors of `checkpoint` as they are, but for the type of matrices, and in folders of every other weight.
  public func tensors(of checkpoint: Checkpoint) throws -> [TensorSource] {
    if let (name, _) = checkpoint.unsupportedTensors.min(by: { $0.key < $1.key }) { _ = try checkpoint.tensor(name) }
    return try checkpoint.tensorNames.map { name in
      let record = try checkpoint.tensor(name)
      let isWeight = record.dtype.isQuantized || record.dtype.isFloatingPoint
      let isMatrix = isWeight && record.shape.rank >= 2
      var dtype = record.dtype
      if let matrixType, isMatrix || (isWeight && layout == .huggingFace) {
        dtype = isMatrix ? try self.matrixType(for: record, called: name) : matrixType
      }
      return TensorSource(name: name, dtype: dtype, shape: record.shape, pieces: [.rows(record, order: nil)])
    }
  }
}

extension TensorSource {
  /// Whether every value survives rounding to `dtype`, a 16-bit type; for tensors of plain floats.
  fileprivate func isExact(in dtype: DType) throws -> Bool {
    for piece in pieces {
      guard case .rows(let record, _) = piece, record.dtype != dtype else { continue }
      guard record.dtype == .float32 else { return false }
      let isExact = try record.withBytes { bytes in
        stride(from: 0, to: bytes.count, by: 4).allSatisfy { offset in
          let value = bytes.loadUnaligned(fromByteOffset: offset, as: Float.self)
          return dtype == .bfloat16 ? value.bitPattern & 0xFFFF == 0 : Float(Float16(value)) == value
        }
      }
      guard isExact else { return false }
    }
    return true
  }
}

extension RowOrder {
  /// The row of a tensor stored in one order for each row of a tensor stored in another; nil for the identity.
  static func order(from source: RowOrder, to target: RowOrder, count: Int) -> [Int32]? {
    guard source != target else { return nil }
    let sourceRows = source.sourceRows(count: count) ?? (0..<Int32(count)).map { $0 }
    guard let targetRows = target.sourceRows(count: count) else { return sourceRows }
    var order = [Int32](repeating: 0, count: count)
    for (row, fileRow) in targetRows.enumerated() { order[Int(fileRow)] = sourceRows[row] }
    return order
  }
}
