public import AngelCore
public import AngelNN
import AngelTensor

/// What the tensors of a checkpoint become in another file, decided before a byte is written.
public struct ConversionPlan {
  /// The layout of the new files.
  public let layout: Checkpoint.Layout
  /// The type of matrices; nil keeps each tensor's own, or float32 where the layout has no such type.
  public let matrixType: DType?
  /// Parameters made anew for the new file, by path; they are written as they are.
  public let encoded: [String: EncodedParameter]
  /// Whether linear layers become whole numbers and scales as compressed-tensors has them: folders only. Then the type
  /// of matrices is theirs alone.
  public let packsLayers: Bool

  public init(
    layout: Checkpoint.Layout, matrixType: DType?, encoded: [String: EncodedParameter] = [:], packsLayers: Bool = false
  ) {
    self.packsLayers = packsLayers
    self.layout = layout
    self.matrixType = matrixType
    self.encoded = encoded
  }

  /// The types that can be written, by layout.
  public static func types(in layout: Checkpoint.Layout, packsLayers: Bool = false) -> [DType] {
    if packsLayers { return LayerPacking.types }
    let dense: [DType] = [.float32, .float16, .bfloat16]
    return layout == .gguf ? dense + EncodeRows.targets : dense
  }

  // MARK: Through the model

  /// The parameters of a model under the names, in the forms, the row order and the types of the new layout.
  public func tensors(
    of model: some Module, names: NameTable, from checkpoint: Checkpoint
  ) throws -> [TensorSource] {
    var parts: [String: [Part]] = [:]
    var order: [String] = []
    for (path, parameter) in model.parameterShapes() {
      let sources = names.places(ofParameter: path, in: checkpoint.layout)
      guard let source = sources.first(where: { checkpoint.contains($0.name) }) ?? sources.first,
        let target = names.tensor(forParameter: path, in: layout)
      else { preconditionFailure("the model's name table has no entry for '\(path)'") }
      let record = try checkpoint.record(at: source, shape: parameter.shape)
      if parts[target.name] == nil { order.append(target.name) }
      parts[target.name, default: []].append(
        Part(
          path: path, record: record, source: source, target: target, shape: parameter.shape, role: parameter.role,
          encoded: encoded[path]))
    }
    var tensors = try order.map { name in
      (tensor: try tensor(of: parts[name] ?? []), isTyped: parts[name]?.first?.isTyped ?? false)
    }
    if layout == .huggingFace { try narrowOthers(&tensors) }
    guard packsLayers else { return tensors.map(\.tensor) }
    return try LayerPacking.tensors(of: tensors.map(\.tensor))
  }

  /// Whether a tensor of this name is one of the weights that types are chosen for; the rest is small and stays in float32 in
  /// GGUF, as its converters have it: norms, biases, routers, learned positions and kinds of text.
  public static func isTyped(_ role: Parameter.Role, named name: String) -> Bool {
    role == .matrix && name != "position_embd.weight" && name != "token_types.weight"
  }

  /// A parameter on its way from its place in one layout to that in the other.
  private struct Part {
    let path: String
    let record: TensorRecord
    let source: TensorPlace
    let target: TensorPlace
    let shape: Shape
    let role: Parameter.Role
    let encoded: EncodedParameter?

    /// Its rows as the model has them, in the order of the target.
    var piece: TensorSource.Piece {
      let rows = shape[0]
      if let encoded {
        return .encoded(encoded, order: RowOrder.order(from: .identity, to: target.rows, count: rows))
      }
      guard !source.form.isTransposed else {
        return .columns(record, source.form.share * rows..<(source.form.share + 1) * rows)
      }
      return .rows(record, order: RowOrder.order(from: source.rows, to: target.rows, count: rows))
    }

    var isTyped: Bool {
      ConversionPlan.isTyped(role, named: source.name) && ConversionPlan.isTyped(role, named: target.name)
    }

    /// Whether transformers has it as a linear layer: one of a block, not an embedding or the head.
    var isLayer: Bool {
      isTyped && path.hasPrefix("blocks.") && target.entry == nil && !target.form.isTransposed
    }

    var hasUsableType: Bool {
      encoded != nil || record.dtype.isFloatingPoint
        || (record.dtype.isQuantized && role != .vector && !source.form.isTransposed)
    }

    /// Where it comes among the parts of its tensor.
    var position: (Int, Int) { (target.entry ?? 0, target.form.firstRow(of: shape)) }
  }

  /// One tensor of the new file from all parameters that it holds.
  private func tensor(of parts: [Part]) throws -> TensorSource {
    let parts = parts.sorted { $0.position < $1.position }
    let (first, form) = (parts[0], parts[0].target.form)
    let name = first.target.name
    // Blocks cannot be turned, and norms and biases have none, as the loader has it.
    if let wrong = parts.first(where: { !$0.hasUsableType }) {
      throw CheckpointError.invalidTensor(
        name: name, path: "the new file",
        reason: "it is made of \(quoted(wrong.record.name)), whose type "
          + "\(wrong.record.dtype.name) cannot be used there")
    }
    var shape = form.fileShape(of: first.shape)
    let (rows, rowsOfEntry) = (parts.reduce(0) { $0 + $1.shape[0] }, form.rowCount(with: first.shape))
    let entries = first.target.entry.map { _ in rows / rowsOfEntry }
    if let entries { shape = Shape([entries] + shape.array) }
    guard rows == (entries ?? 1) * rowsOfEntry else {
      preconditionFailure("'\(name)' is to hold \(parts.count) parameters")
    }
    var result = TensorSource(
      name: name, dtype: try type(of: parts, called: name), shape: shape, pieces: parts.map(\.piece))
    // What was made for the file is as the model has it.
    result.offset = (first.encoded == nil ? first.source.form.offset : 0) - form.offset
    result.isTransposed = form.isTransposed
    return result
  }

  private func type(of parts: [Part], called name: String) throws -> DType {
    guard parts[0].isTyped else { return .float32 }
    if let type = parts[0].encoded?.dtype, parts.allSatisfy({ $0.encoded?.dtype == type }) { return type }
    guard parts.allSatisfy({ $0.encoded == nil }) else {
      throw CheckpointError.invalidTensor(
        name: name, path: "the new file", reason: "some of its parts were rounded for it and others were not")
    }
    guard matrixType != nil || parts.allSatisfy({ $0.record.dtype == parts[0].record.dtype }) else {
      throw CheckpointError.invalidTensor(
        name: name, path: "the new file", reason: "its parts are of several types; choose one for all with --type")
    }
    if packsLayers, parts[0].isLayer {
      let own = parts[0].record.dtype
      guard matrixType != nil || LayerPacking.types.contains(own) else {
        throw CheckpointError.invalidTensor(
          name: name, path: "the new file", reason: "it is \(own.name); choose q4_0 or q8_0 with --type")
      }
      return try matrixType(matrixType ?? own, depth: parts[0].shape[-1], called: name)
    }
    return try type(for: parts[0].record, depth: parts[0].shape[-1], called: name)
  }

  private func matrixType(_ type: DType, depth: Int, called name: String) throws -> DType {
    guard depth % type.blockElements == 0 else {
      throw CheckpointError.invalidTensor(
        name: name, path: "the new file",
        reason: "its rows of \(depth) are not whole \(type.name) blocks of \(type.blockElements); "
          + "choose f16 or bf16")
    }
    return type
  }

  private func type(for record: TensorRecord, depth: Int, called name: String) throws -> DType {
    if let matrixType, !packsLayers { return try self.matrixType(matrixType, depth: depth, called: name) }
    if record.dtype == .float64 { return .float32 }
    return layout == .gguf || !record.dtype.isQuantized ? record.dtype : .float32
  }

  /// Norms, biases and routers are float32 in GGUF. They go back to the 16-bit type of the matrices where that loses
  /// nothing, so that a folder that became a file becomes the same folder again.
  private func narrowOthers(_ sources: inout [(tensor: TensorSource, isTyped: Bool)]) throws {
    // Layers that are packed have a type of their own.
    let types = Set(sources.filter { $0.isTyped && !$0.tensor.dtype.isQuantized }.map(\.tensor.dtype))
    guard types.count == 1, let type = types.first, type == .float16 || type == .bfloat16 else { return }
    for source in sources where !source.isTyped {
      guard try source.tensor.isExact(in: type) else { return }
    }
    for index in sources.indices where !sources[index].isTyped { sources[index].tensor.dtype = type }
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
      if isMatrix, matrixType != nil || record.dtype.isQuantized {
        dtype = try type(for: record, depth: record.shape[-1], called: name)
      } else if let matrixType, isWeight, layout == .huggingFace {
        dtype = matrixType
      }
      return TensorSource(name: name, dtype: dtype, shape: record.shape, pieces: [.rows(record, order: nil)])
    }
  }
}

extension TensorSource {
  /// Whether every value survives rounding to `dtype`, a 16-bit type; for tensors of plain floats.
  fileprivate func isExact(in dtype: DType) throws -> Bool {
    for piece in pieces {
      guard case .rows(let record, _) = piece else { return false }
      if record.dtype == dtype, offset == 0 { continue }
      guard record.dtype == .float32 else { return false }
      let isExact = try record.withBytes { bytes in
        stride(from: 0, to: bytes.count, by: 4).allSatisfy { place in
          let value = bytes.loadUnaligned(fromByteOffset: place, as: Float.self) + offset
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
