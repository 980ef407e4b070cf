import AngelCore
import AngelText

/// The tokenizer a GGUF file carries under `tokenizer.ggml.…`.
enum GGUFTokenizer {
  /// The `tokenizer.ggml.model` names that are read.
  static let models = ["bert", "gpt2", "llama", "t5"]

  /// Maps the metadata to a description; `path` is for messages.
  static func description(of header: GGUFHeader, path: String) throws(CheckpointError) -> TokenizerDescription {
    let fields = Fields(header: header, path: path)
    guard let model = try fields.text("model") else { throw fields.missing("model") }
    guard models.contains(model) else { throw fields.unsupported("model", model, models) }
    guard let tokens = try fields.strings("tokens") else { throw fields.missing("tokens") }
    switch model {
    case "llama": return try sentencePiece(.bytePairs, tokens, fields)
    case "t5": return try sentencePiece(.unigram, tokens, fields)
    case "bert": return try wordPiece(tokens, fields)
    default: return try bytePairs(tokens, fields)
    }
  }

  private static func bytePairs(
    _ tokens: StringTable, _ fields: Fields
  ) throws(CheckpointError) -> TokenizerDescription {
    guard let merges = try fields.strings("merges") else { throw fields.missing("merges") }
    return TokenizerDescription(
      tokens: tokens, kinds: try fields.kinds(tokenCount: tokens.count), merges: merges,
      preTokenizer: try fields.preTokenizer(), beginToken: try fields.token("bos_token_id", in: tokens),
      endToken: try fields.token("eos_token_id", in: tokens),
      paddingToken: try fields.token("padding_token_id", in: tokens),
      unknownToken: try fields.token("unknown_token_id", in: tokens), addsBeginToken: try fields.flag("add_bos_token"),
      addsEndToken: try fields.flag("add_eos_token"))
  }

  /// What a file leaves out means what llama.cpp takes it for.
  private static func sentencePiece(
    _ algorithm: SentencePieceVocabulary.Algorithm, _ tokens: StringTable, _ fields: Fields
  ) throws(CheckpointError) -> TokenizerDescription {
    guard let scores = try fields.scores(tokenCount: tokens.count) else { throw fields.missing("scores") }
    var vocabulary = SentencePieceVocabulary(
      algorithm, tokens: tokens, kinds: try fields.kinds(tokenCount: tokens.count), scores: scores)
    let isUnigram = algorithm == .unigram
    vocabulary.addsSpacePrefix = try fields.flag("add_space_prefix") ?? !isUnigram
    vocabulary.removesExtraSpaces = try fields.flag("remove_extra_whitespaces") ?? false
    vocabulary.characterMap = try fields.bytes("precompiled_charsmap") ?? []
    vocabulary.fallsBackToBytes = !isUnigram
    vocabulary.beginToken = try fields.token("bos_token_id", in: tokens, ifAbsent: isUnigram ? nil : 1)
    vocabulary.endToken = try fields.token("eos_token_id", in: tokens, ifAbsent: isUnigram ? 1 : 2)
    vocabulary.unknownToken = try fields.token("unknown_token_id", in: tokens, ifAbsent: isUnigram ? 2 : 0)
    vocabulary.paddingToken = try fields.token("padding_token_id", in: tokens)
    let addsBegin = try fields.flag("add_bos_token") ?? !isUnigram
    let addsEnd = try fields.flag("add_eos_token") ?? isUnigram
    do {
      return try TokenizerDescription(vocabulary, addsBeginToken: addsBegin, addsEndToken: addsEnd)
    } catch { throw fields.refused(error) }
  }

  private static func wordPiece(
    _ tokens: StringTable, _ fields: Fields
  ) throws(CheckpointError) -> TokenizerDescription {
    guard let unknown = try fields.token("unknown_token_id", in: tokens, ifAbsent: 100) else {
      throw fields.missing("unknown_token_id")
    }
    var normalization = BertNormalization()
    normalization.lowercases = try fields.flag("normalizer.lowercase") ?? true
    normalization.stripsAccents = try fields.flag("normalizer.strip_accents") ?? normalization.lowercases
    // The misspelling is the format's; files that have neither name the tokens by their roles in a text.
    let begin = try fields.token("bos_token_id", in: tokens, ifAbsent: 101)
    let end = try fields.token("eos_token_id", in: tokens, ifAbsent: 102)
    let first = try fields.token("cls_token_id", in: tokens)
    let last = try fields.token("seperator_token_id", in: tokens)
    return TokenizerDescription(
      phantomSpaceTokens: tokens, kinds: try fields.kinds(tokenCount: tokens.count), normalization: normalization,
      unknownToken: unknown, beginToken: first ?? begin, endToken: last ?? end,
      paddingToken: try fields.token("padding_token_id", in: tokens))
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

  func refused(_ error: TokenizerError) -> CheckpointError { .tokenizer(path: path, reason: error.description) }

  func bytes(_ key: String) throws(CheckpointError) -> [UInt8]? {
    guard let value = value(key) else { return nil }
    guard let numbers = value.numbers, numbers.type == .uint8 || numbers.type == .int8 else {
      throw wrong(key, "is \(value.kind), not an array of bytes")
    }
    return numbers.bytes
  }

  /// A token by its key; `usual` is its id where the file says nothing and the vocabulary is large enough.
  func token(_ key: String, in tokens: StringTable, ifAbsent usual: Int? = nil) throws(CheckpointError) -> Int32? {
    guard let value = value(key) else {
      return usual.flatMap { $0 < tokens.count ? Int32($0) : nil }
    }
    // Converters write -1, or its unsigned image, for a token the model does not have.
    if let id = value.integer, id == -1 || id == Int(UInt32.max) { return nil }
    guard let id = value.integer, id >= 0, id < tokens.count, let id = Int32(exactly: id) else {
      throw wrong(key, "is not one of the \(tokens.count) tokens")
    }
    return id
  }

  func kinds(tokenCount: Int) throws(CheckpointError) -> [TokenKind] {
    guard let value = value("token_type") else { return [] }
    guard let numbers = value.numbers, numbers.count == tokenCount, let integers = numbers.smallIntegers else {
      throw wrong("token_type", "is \(value.kind), not \(tokenCount) small integers, one per token")
    }
    if let unknown = integers.first(where: { $0 > TokenKind.byte.rawValue }) {
      throw wrong("token_type", "has the unknown kind \(unknown)")
    }
    // 0 is the format's "undefined": llama.cpp treats such tokens as normal ones.
    return integers.map { TokenKind(rawValue: $0) ?? .normal }
  }

  func scores(tokenCount: Int) throws(CheckpointError) -> [Float]? {
    guard let value = value("scores") else { return nil }
    guard let scores = value.numbers?.floats, scores.count == tokenCount else {
      throw wrong("scores", "is \(value.kind), not \(tokenCount) 32-bit floats, one per token")
    }
    return scores
  }

  func preTokenizer() throws(CheckpointError) -> NamedPreTokenizer {
    guard let name = try text("pre") else { return .default }
    do { return try NamedPreTokenizer(named: name) } catch { throw refused(error) }
  }
}
