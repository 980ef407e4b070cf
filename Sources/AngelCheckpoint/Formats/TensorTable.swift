import AngelCore

/// Gathers the tensors of a model's files, and the figures of its card.
struct TensorTable {
  private(set) var records: [String: TensorRecord] = [:]
  private(set) var names: [String] = []
  private(set) var unsupported: [String: String] = [:]
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
    guard records[name] == nil, unsupported[name] == nil else {
      throw .damaged(path: file.path, format: "model", reason: "tensor \(quoted(name)) is in another part too")
    }
    if let dtype {
      records[name] = TensorRecord(name: name, dtype: dtype, shape: shape, file: file, byteRange: range)
      names.append(name)
    } else {
      unsupported[name] = typeName
    }
    // Shapes of unknown types are held against nothing, so their sizes may be lies.
    parameterCount = parameterCount.addingReportingOverflow(shape.elementCount).partialValue
    let sums = bytes[typeName] ?? (0, 0)
    bytes[typeName] = (sums.tensors + 1, sums.bytes + range.count)
  }

  /// The figures, most bytes first.
  var byteCounts: [ModelCard.TypeBytes] {
    bytes.map { ModelCard.TypeBytes(type: $0.key, tensors: $0.value.tensors, bytes: $0.value.bytes) }
      .sorted { ($1.bytes, $0.type) < ($0.bytes, $1.type) }
  }
}
