import AngelCore

/// Gathers the tensors of a model's files, and the figures of its card.
struct TensorTable {
  private(set) var records: [String: TensorRecord] = [:]
  private(set) var names: [String] = []
  /// Tensors of types that are not computed with.
  private var others: [String: StoredBytes] = [:]
  private(set) var parameterCount = 0
  private var bytes: [String: (tensors: Int, bytes: Int)] = [:]

  /// Adds the tensors of `gguf`.
  mutating func add(_ gguf: GGUFFile) throws(CheckpointError) {
    for tensor in gguf.header.tensors {
      try add(
        tensor.name, dtype: tensor.type.dtype, typeName: tensor.type.name, tensor.shape, gguf.file, tensor.byteRange)
    }
  }

  /// Adds the tensors of `file` for which `isWanted` holds.
  mutating func add(
    _ safetensors: SafetensorsFile, where isWanted: (String) -> Bool = { _ in true }
  ) throws(CheckpointError) {
    for tensor in safetensors.header.tensors where isWanted(tensor.name) {
      try add(
        tensor.name, dtype: tensor.dtype, typeName: tensor.typeName, tensor.shape, safetensors.file, tensor.byteRange)
    }
  }

  private mutating func add(
    _ name: String, dtype: DType?, typeName: String, _ shape: Shape, _ file: MappedFile, _ range: Range<Int>
  ) throws(CheckpointError) {
    guard records[name] == nil, others[name] == nil else {
      throw .damaged(path: file.path, format: "model", reason: "tensor \(quoted(name)) is in another part too")
    }
    if let dtype {
      records[name] = TensorRecord(name: name, dtype: dtype, shape: shape, content: .file(file), byteRange: range)
      names.append(name)
    } else {
      others[name] = StoredBytes(name: name, typeName: typeName, shape: shape, file: file, range: range)
    }
    // Shapes of unknown types are held against nothing, so their sizes may be lies.
    parameterCount = parameterCount.addingReportingOverflow(shape.elementCount).partialValue
    let sums = bytes[typeName] ?? (0, 0)
    bytes[typeName] = (sums.tensors + 1, sums.bytes + range.count)
  }

  /// The types of the tensors that cannot be computed with.
  var unsupported: [String: String] { others.mapValues(\.typeName) }

  /// The figures, most bytes first.
  var byteCounts: [ModelCard.TypeBytes] {
    bytes.map { ModelCard.TypeBytes(type: $0.key, tensors: $0.value.tensors, bytes: $0.value.bytes) }
      .sorted { ($1.bytes, $0.type) < ($0.bytes, $1.type) }
  }
}

// MARK: Quantised folders

extension TensorTable {
  /// All names in order, those of types that are not computed with as well.
  var allNames: [String] { (names + others.keys).sorted() }

  func contains(_ name: String) -> Bool { records[name] != nil || others[name] != nil }

  /// A tensor of a safetensors file, whatever its type.
  func stored(_ name: String) -> StoredBytes? {
    if let other = others[name] { return other }
    guard let record = records[name], case .file(let file) = record.content,
      let type = SafetensorsTensor.supportedTypes.first(where: { $0.dtype == record.dtype })
    else { return nil }
    return StoredBytes(name: name, typeName: type.name, shape: record.shape, file: file, range: record.byteRange)
  }

  /// Puts the matrices of a quantised folder in the place of what they are made of.
  mutating func replace(with folder: QuantizedFolder) {
    for name in folder.consumed {
      guard let part = stored(name) else { continue }
      records[name] = nil
      others[name] = nil
      parameterCount = parameterCount.subtractingReportingOverflow(part.shape.elementCount).partialValue
      if let sums = bytes[part.typeName] {
        bytes[part.typeName] = sums.tensors == 1 ? nil : (sums.tensors - 1, sums.bytes - part.range.count)
      }
    }
    names.removeAll { folder.consumed.contains($0) }
    for matrix in folder.matrices {
      records[matrix.name] = TensorRecord(matrix)
      names.append(matrix.name)
      parameterCount = parameterCount.addingReportingOverflow(matrix.outputs * matrix.inputs).partialValue
      let type = "\(folder.method.name) \(matrix.storedType)"
      let sums = bytes[type] ?? (0, 0)
      bytes[type] = (sums.tensors + 1, sums.bytes + matrix.storedByteCount)
    }
  }
}
