public import AngelCore

extension SentencePooling {
  /// Keys of what GGUF has no key for: the names that sentence-transformers has for them.
  static let lengthKey = "sentence_transformers.max_seq_length"
  static let normalizeKey = "sentence_transformers.normalize"

  /// The files that sentence-transformers writes beside a model with vectors of `width`.
  public func documents(width: Int) -> [(name: String, json: JSONValue)] {
    let types = ["Transformer", "Pooling"] + (normalizes ? ["Normalize"] : [])
    let modules = types.enumerated().map { index, type -> JSONValue in
      [
        "idx": .integer(index), "name": .string("\(index)"), "path": .string(index == 0 ? "" : "\(index)_\(type)"),
        "type": .string("sentence_transformers.models." + type),
      ]
    }
    return [
      ("modules.json", .array(modules)),
      (
        "sentence_bert_config.json",
        ["max_seq_length": longest.map { .integer($0) } ?? .null, "do_lower_case": false]
      ),
      (
        "1_Pooling/config.json",
        [
          "word_embedding_dimension": .integer(width), "pooling_mode_cls_token": .bool(kind == .first),
          "pooling_mode_mean_tokens": .bool(kind == .mean), "pooling_mode_max_tokens": false,
          "pooling_mode_mean_sqrt_len_tokens": false,
        ]
      ),
    ]
  }

  /// The same as GGUF metadata of an `architecture`.
  public func ggufMetadata(_ architecture: String) -> [(key: String, value: GGUFValue)] {
    var result: [(key: String, value: GGUFValue)] = [
      ("\(architecture).pooling_type", .unsigned(kind == .mean ? 1 : 2))
    ]
    if let longest { result.append((Self.lengthKey, .unsigned(UInt64(longest)))) }
    // Readers divide by the length unless they are told otherwise.
    if !normalizes { result.append((Self.normalizeKey, .bool(false))) }
    return result
  }
}

extension Checkpoint {
  /// What a GGUF file's metadata says of pooling.
  func ggufPooling() throws(CheckpointError) -> SentencePooling {
    var result = SentencePooling()
    let fields = ConfigurationFields(self)
    let key = architecture + ".pooling_type"
    switch try fields.integer(key, in: 0...1 << 16, default: 1) {
    case 1: result.kind = .mean
    case 2: result.kind = .first
    case let type:
      throw fields.wrong(key, .integer(type), "1 (the mean) or 2 (the first token)")
    }
    result.normalizes = try fields.bool(SentencePooling.normalizeKey, default: true)
    if fields[SentencePooling.lengthKey] != nil {
      result.longest = try fields.integer(SentencePooling.lengthKey, in: 1...1 << 24)
    }
    return result
  }
}
