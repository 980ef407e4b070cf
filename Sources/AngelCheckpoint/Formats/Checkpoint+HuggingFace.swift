import AngelCore

extension Checkpoint {
  /// Where a Hugging Face folder keeps its tensors.
  enum Weights {
    case single(String)
    /// The path of `model.safetensors.index.json`.
    case sharded(index: String)
  }

  /// Finds the weights among the `names` in `folder`; nil when it has no safetensors.
  static func weights(in folder: String, _ names: [String]) throws(CheckpointError) -> Weights? {
    let index = "model.safetensors.index.json"
    if names.contains(index) { return .sharded(index: FilePath.join(folder, index)) }
    let files = names.filter { fileExtension($0) == "safetensors" }
    if files.contains("model.safetensors") { return .single(FilePath.join(folder, "model.safetensors")) }
    guard files.count <= 1 else {
      throw .notACheckpoint(
        path: folder, reason: "it holds \(files.count) safetensors files, but neither model.safetensors nor \(index)")
    }
    return files.first.map { .single(FilePath.join(folder, $0)) }
  }

  /// Opens a Hugging Face model whose small files are in `folder`.
  static func openHuggingFace(
    folder: String, weights: Weights, path: String
  ) throws(CheckpointError) -> Checkpoint {
    var configuration = try configuration(in: folder)
    guard let architecture = configuration["model_type"]?.string, !architecture.isEmpty else {
      throw .damaged(path: FilePath.join(folder, "config.json"), format: "model", reason: "it has no model_type")
    }
    var table = TensorTable()
    switch weights {
    case .single(let file): try table.add(SafetensorsFile(path: file))
    case .sharded(let index): try addShards(listedIn: index, folder: folder, to: &table)
    }
    let quantization = try unpack(&table, &configuration, in: folder)
    var card = ModelCard(parameterCount: table.parameterCount, byteCounts: table.byteCounts)
    card.name = configuration["_name_or_path"]?.string.flatMap { $0.isEmpty ? nil : $0 }
    card.license = license(in: folder)
    card.quantization = quantization
    return Checkpoint(
      path: path, layout: .huggingFace, architecture: architecture, configuration: configuration,
      generation: try JSONFile.objectIfPresent(FilePath.join(folder, "generation_config.json")),
      tensors: table.records, tensorNames: table.names, unsupportedTensors: table.unsupported,
      chatTemplate: try chatTemplate(in: folder), card: card, tokenizerSource: .folder(folder))
  }

  private static func configuration(in folder: String) throws(CheckpointError) -> JSONObject {
    guard let object = try JSONFile.objectIfPresent(FilePath.join(folder, "config.json")) else {
      throw .notACheckpoint(path: folder, reason: "it has no config.json, which says what the tensors mean")
    }
    return object
  }

  /// Puts the matrices of quantised weights in the place of their parts; what remains is a folder as any other.
  private static func unpack(
    _ table: inout TensorTable, _ configuration: inout JSONObject, in folder: String
  ) throws(CheckpointError) -> QuantizedWeights? {
    let path = FilePath.join(folder, "config.json")
    guard let method = try QuantizationMethod(configuration, path: path) else {
      if let name = table.allNames.first(where: { $0.hasSuffix(".qweight") || $0.hasSuffix(".weight_packed") }) {
        throw .unsupported(
          path: path,
          reason:
            "tensor \(quoted(name)) is quantised, but it has no '\(QuantizationMethod.key)' to say how; "
            + "copy it there from the model's quantize_config.json, with \"quant_method\": \"gptq\" or \"awq\"")
      }
      configuration[QuantizationMethod.key] = nil
      return nil
    }
    let weights = try QuantizedFolder(table, method, path: folder)
    table.replace(with: weights)
    configuration[QuantizationMethod.key] = nil
    return weights.summary
  }

  // MARK: Shards

  private static func addShards(
    listedIn index: String, folder: String, to table: inout TensorTable
  ) throws(CheckpointError) {
    let index = try ShardIndex(JSONFile.object(index, limit: JSONFile.largeLimit), path: index)
    for file in index.files {
      let wanted = index.names(in: file)
      let shard = try SafetensorsFile(path: FilePath.join(folder, file))
      let held = Set(shard.header.tensors.map(\.name))
      if let name = wanted.subtracting(held).min() {
        throw .damaged(
          path: FilePath.join(folder, file), format: "safetensors",
          reason: "tensor \(quoted(name)) is not in it, though the index says so")
      }
      try table.add(shard) { wanted.contains($0) }
    }
  }

  // MARK: Chat template, license

  private static func chatTemplate(in folder: String) throws(CheckpointError) -> String? {
    let path = FilePath.join(folder, HuggingFaceFiles.chatTemplateName)
    if FilePath.kind(path) != nil {
      return String(decoding: try JSONFile.bytes(path, limit: JSONFile.configurationLimit), as: UTF8.self)
    }
    for name in ["chat_template.json", "tokenizer_config.json"] {
      guard let object = try JSONFile.objectIfPresent(FilePath.join(folder, name)) else { continue }
      switch object["chat_template"] {
      case .string(let template): return template
      // A list of named templates: tools, retrieval and the default one.
      case .array(let list):
        let chosen = list.first { $0["name"]?.string == "default" } ?? list.first
        return chosen?["template"]?.string
      default: continue
      }
    }
    return nil
  }

  /// The license in the front matter of the model's README; nil when it has none.
  private static func license(in folder: String) -> String? {
    guard let file = try? MappedFile(path: FilePath.join(folder, "README.md")) else { return nil }
    let start = withExtendedLifetime(file) { String(decoding: file.unsafeBytes.prefix(65_536), as: UTF8.self) }
    let lines = start.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first == "---" else { return nil }
    for line in lines.dropFirst() {
      if line == "---" { return nil }
      if line.hasPrefix("license:") {
        let words = line.dropFirst("license:".count).split(whereSeparator: { " \t\r\"'".contains($0) })
        return words.first.map(String.init)
      }
    }
    return nil
  }
}
