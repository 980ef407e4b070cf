import AngelCore

/// Metadata of a GGUF file that is being written.
public enum GGUFMetadata {
  public typealias Entry = (key: String, value: GGUFValue)

  /// What every file says: architecture, name, license, and the type of most weights.
  public static func general(of checkpoint: Checkpoint, architecture: String, tensors: [TensorSource]) -> [Entry] {
    var result: [Entry] = [("general.architecture", .string(architecture)), ("general.type", .string("model"))]
    if let name = checkpoint.card.name { result.append(("general.name", .string(name))) }
    if let license = checkpoint.card.license { result.append(("general.license", .string(license))) }
    return result + types(of: tensors) + pattern(of: tensors, before: [])
  }

  /// The tokenizer's tables and the chat template; the vocabulary is filled up to `vocabularySize`, the embedding's rows.
  public static func tokenizer(
    of checkpoint: Checkpoint, vocabularySize: Int
  ) throws(CheckpointError) -> [Entry] {
    try GGUFTokenizer.metadata(
      of: try checkpoint.tokenizerWithScores(), vocabularySize: vocabularySize, endTokens: checkpoint.endTokens,
      chatTemplate: checkpoint.chatTemplate, path: checkpoint.path)
  }

  /// All that a GGUF checkpoint says, with the types of the new tensors; nil for another layout.
  ///
  /// Whole numbers of 8 and 16 bits become 32 wide; a split file becomes one.
  public static func copied(from checkpoint: Checkpoint, tensors: [TensorSource]) -> [Entry]? {
    guard case .gguf(let header, _) = checkpoint.tokenizerSource else { return nil }
    let replaced: Set<String> = [
      "general.alignment", "general.file_type", "general.quantization_version", "split.no", "split.count",
      "split.tensors.count", Checkpoint.patternKey, Checkpoint.patternTensorsKey,
    ]
    return header.metadata.filter { !replaced.contains($0.key) } + types(of: tensors)
      + pattern(of: tensors, before: checkpoint.twoOfFourTensors)
  }

  /// Which tensors are 2:4: those made so, and those that were and are not made anew. Zeros stay zeros in every type that has them.
  private static func pattern(of tensors: [TensorSource], before names: Set<String>) -> [Entry] {
    let own = tensors.filter { tensor in
      if case .encoded = tensor.pieces.first { return tensor.isTwoOfFour }
      return names.contains(tensor.name) && tensor.dtype.twoOfFour != nil
    }
    guard !own.isEmpty else { return [] }
    return [
      (Checkpoint.patternKey, .string("2:4")),
      (Checkpoint.patternTensorsKey, .strings(StringTable(own.map(\.name)))),
    ]
  }

  private static func types(of tensors: [TensorSource]) -> [Entry] {
    var bytes: [DType: Int] = [:]
    for tensor in tensors where tensor.shape.rank >= 2 { bytes[tensor.dtype, default: 0] += tensor.byteCount }
    let most = bytes.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .float32
    return (fileTypes[most].map { [("general.file_type", .unsigned($0))] } ?? [])
      + [("general.quantization_version", .unsigned(2))]
  }

  /// `LlamaFileType` of the `gguf` package, for files mostly of one type.
  private static let fileTypes: [DType: UInt64] = [
    .float32: 0, .float16: 1, .q4_0: 2, .q4_1: 3, .q8_0: 7, .q5_0: 8, .q5_1: 9, .q2_K: 10, .q3_K: 12, .q4_K: 15,
    .q5_K: 17, .q6_K: 18, .iq4_NL: 25, .iq4_XS: 30, .bfloat16: 32, .tq1_0: 36, .tq2_0: 37,
  ]
}
