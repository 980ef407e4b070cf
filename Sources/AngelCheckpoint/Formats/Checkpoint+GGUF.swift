import AngelCore

extension Checkpoint {
  /// Opens the GGUF file at `path` and, when it is the first part of a split one, the other parts.
  static func openGGUF(_ path: String) throws(CheckpointError) -> Checkpoint {
    let first = try GGUFFile(path: path)
    var table = TensorTable()
    try table.add(first)
    try addParts(after: first, to: &table)
    guard let architecture = first["general.architecture"]?.string, !architecture.isEmpty else {
      throw .damaged(path: path, format: "GGUF", reason: "it has no general.architecture")
    }
    let text = { (key: String) in first[key]?.string }
    return Checkpoint(
      path: path, layout: .gguf, architecture: architecture, configuration: configuration(of: first.header),
      generation: nil, tensors: table.records, tensorNames: table.names, unsupportedTensors: table.unsupported,
      chatTemplate: text("tokenizer.chat_template"),
      card: ModelCard(
        name: text("general.name"), license: text("general.license"), summary: text("general.description"),
        parameterCount: table.parameterCount, byteCounts: table.byteCounts),
      tokenizerSource: .gguf(first.header, path: path))
  }

  private static func configuration(of header: GGUFHeader) -> JSONObject {
    JSONObject(header.metadata.compactMap { entry in entry.value.json().map { (entry.key, $0) } })
  }

  private static func addParts(after first: GGUFFile, to table: inout TensorTable) throws(CheckpointError) {
    let path = first.file.path
    guard let count = first["split.count"]?.integer, count > 1 else { return }
    guard let name = SplitName(path), name.count == count else {
      throw .unsupported(
        path: path, reason: "it is one of \(count) parts, but its name does not end in -00001-of-NNNNN.gguf")
    }
    guard name.number == 1, first["split.no"]?.integer == 0 else {
      throw .unsupported(path: path, reason: "it is part \(name.number) of \(count); open '\(name.path(1))'")
    }
    var tensorCount = first.header.tensors.count
    for number in 2...count {
      let part = try GGUFFile(path: name.path(number))
      guard part["split.no"]?.integer == number - 1, part["split.count"]?.integer == count else {
        throw .damaged(
          path: name.path(number), format: "GGUF", reason: "it does not say that it is part \(number) of \(count)")
      }
      tensorCount += part.header.tensors.count
      try table.add(part)
    }
    if let expected = first["split.tensors.count"]?.integer, expected != tensorCount {
      throw .damaged(
        path: path, format: "GGUF", reason: "its \(count) parts have \(tensorCount) tensors, not \(expected)")
    }
  }
}
