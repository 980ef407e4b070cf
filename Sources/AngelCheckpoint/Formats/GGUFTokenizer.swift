import AngelCore
import AngelText

/// The tokenizer a GGUF file carries under `tokenizer.ggml.…`.
enum GGUFTokenizer {
  /// Maps the metadata to a description; `path` is for messages.
  ///
  /// `add_space_prefix` concerns SentencePiece vocabularies only and is not read.
  static func description(of header: GGUFHeader, path: String) throws(CheckpointError) -> TokenizerDescription {
    let fields = Fields(header: header, path: path)
    guard let model = try fields.text("model") else { throw fields.missing("model") }
    guard TokenizerDescription.supportedModels.contains(model) else {
      throw fields.unsupported("model", model, TokenizerDescription.supportedModels)
    }
    guard let tokens = try fields.strings("tokens") else { throw fields.missing("tokens") }
    guard let merges = try fields.strings("merges") else { throw fields.missing("merges") }
    return TokenizerDescription(
      tokens: tokens, kinds: try fields.kinds(tokenCount: tokens.count), merges: merges,
      scores: try fields.scores(tokenCount: tokens.count), preTokenizer: try fields.preTokenizer(),
      beginToken: try fields.token("bos_token_id", in: tokens), endToken: try fields.token("eos_token_id", in: tokens),
      paddingToken: try fields.token("padding_token_id", in: tokens),
      unknownToken: try fields.token("unknown_token_id", in: tokens), addsBeginToken: try fields.flag("add_bos_token"),
      addsEndToken: try fields.flag("add_eos_token"))
  }

  /// The tokens that end an answer: end of text, of turn and of message, as far as the file names them.
  static func endTokens(of header: GGUFHeader) -> [Int32] {
    var result: [Int32] = []
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
      guard let id = header["tokenizer.ggml." + key]?.integer, let id = Int32(exactly: id), id >= 0 else { continue }
      if !result.contains(id) { result.append(id) }
    }
    return result
  }
}

/// Typed access to the metadata under `tokenizer.ggml.`.
private struct Fields {
  let header: GGUFHeader
  let path: String

  func value(_ key: String) -> GGUFValue? { header["tokenizer.ggml." + key] }

  func missing(_ key: String) -> CheckpointError {
    .tokenizer(path: path, reason: "the file has no tokenizer.ggml.\(key)")
  }

  func wrong(_ key: String, _ reason: String) -> CheckpointError {
    .tokenizer(path: path, reason: "tokenizer.ggml.\(key) \(reason)")
  }

  func unsupported(_ key: String, _ value: String, _ supported: [String]) -> CheckpointError {
    wrong(key, "is \(quoted(value)), which is not supported; supported: \(supported.joined(separator: ", "))")
  }

  func text(_ key: String) throws(CheckpointError) -> String? {
    guard let value = value(key) else { return nil }
    guard let text = value.string else { throw wrong(key, "is \(value.kind), not a string") }
    return text
  }

  func flag(_ key: String) throws(CheckpointError) -> Bool? {
    guard let value = value(key) else { return nil }
    guard let flag = value.bool else { throw wrong(key, "is \(value.kind), not a boolean") }
    return flag
  }

  func strings(_ key: String) throws(CheckpointError) -> StringTable? {
    guard let value = value(key) else { return nil }
    guard let strings = value.strings else { throw wrong(key, "is \(value.kind), not an array of strings") }
    return strings
  }

  func token(_ key: String, in tokens: StringTable) throws(CheckpointError) -> Int32? {
    guard let value = value(key) else { return nil }
    // Converters write -1, or its unsigned image, for a token the model does not have.
    if let id = value.integer, id == -1 || id == Int(UInt32.max) { return nil }
    guard let id = value.integer, id >= 0, id < tokens.count, let id = Int32(exactly: id) else {
      throw wrong(key, "is not one of the \(tokens.count) tokens")
    }
    return id
  }

  func kinds(tokenCount: Int) throws(CheckpointError) -> [TokenKind] {
    guard let value = value("token_type") else { return [] }
    guard let numbers = value.numbers, numbers.count == tokenCount, let integers = numbers.integers else {
      throw wrong("token_type", "is \(value.kind), not \(tokenCount) integers, one per token")
    }
    var kinds: [TokenKind] = []
    kinds.reserveCapacity(tokenCount)
    for number in integers {
      // 0 is the format's "undefined": llama.cpp treats such tokens as normal ones.
      if number == 0 {
        kinds.append(.normal)
      } else if let raw = UInt8(exactly: number), let kind = TokenKind(rawValue: raw) {
        kinds.append(kind)
      } else {
        throw wrong("token_type", "has the unknown kind \(number)")
      }
    }
    return kinds
  }

  func scores(tokenCount: Int) throws(CheckpointError) -> [Float] {
    guard let value = value("scores") else { return [] }
    guard let scores = value.numbers?.floats, scores.count == tokenCount else {
      throw wrong("scores", "is \(value.kind), not \(tokenCount) 32-bit floats, one per token")
    }
    return scores
  }

  func preTokenizer() throws(CheckpointError) -> NamedPreTokenizer {
    guard let name = try text("pre") else { return .default }
    do { return try NamedPreTokenizer(named: name) } catch {
      throw .tokenizer(path: path, reason: error.description)
    }
  }
}
