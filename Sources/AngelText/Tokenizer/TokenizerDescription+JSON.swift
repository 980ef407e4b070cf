public import AngelCore

extension TokenizerDescription {
  /// Reads a Hugging Face `tokenizer.json`, and the roles in `tokenizer_config.json` where there is one.
  ///
  /// Byte-level byte-pair encodings only. A null decoder is read as ByteLevel, because that is what the pre-tokenizer
  /// says the vocabulary is spelled in.
  public init(tokenizerJSON json: JSONValue, tokenizerConfiguration: JSONValue? = nil) throws(TokenizerError) {
    guard json.object != nil else { throw .invalid(field: "file", reason: "tokenizer.json is \(json.kind)") }
    let model = try Self.model(json)
    let vocabulary = try Self.vocabulary(model)
    self.init(
      tokens: vocabulary.tokens, kinds: vocabulary.kinds, merges: try Self.merges(model),
      normalizers: try NormalizerStep.steps(json["normalizer"] ?? .null),
      preTokenizer: try PreTokenizerStep.steps(json["pre_tokenizer"] ?? .null),
      addedTokens: try Self.addedTokens(json["added_tokens"] ?? .array([])),
      ignoresMerges: try model.flag("ignore_merges") ?? false)
    fusesUnknownBytes = try model.flag("fuse_unk") ?? false
    if let name = model["unk_token"]?.string {
      unknownByteToken = id(of: name)
      unknownToken = unknownByteToken
    }
    try readPostProcessor(json["post_processor"] ?? .null)
    try Self.checkDecoder(json["decoder"] ?? .null)
    try readRoles(tokenizerConfiguration)
  }

  private static func model(_ json: JSONValue) throws(TokenizerError) -> JSONValue {
    guard let model = json["model"], model.object != nil else { throw .missing(field: "model") }
    // Files of the first versions do not name the type; only byte-pair encodings have merges.
    let type = model["type"]?.string ?? (model["merges"] == nil ? "none" : "BPE")
    guard type == "BPE" else {
      throw .unsupported(feature: "model", value: type, supported: ["BPE (byte-level)"])
    }
    if try model.flag("byte_fallback") ?? false {
      throw .unsupported(feature: "model", value: "BPE with byte_fallback", supported: ["BPE (byte-level)"])
    }
    if let dropout = model["dropout"]?.double, dropout != 0 {
      throw .unsupported(feature: "model dropout", value: "\(dropout)", supported: ["none"])
    }
    for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let text = model[field]?.string, !text.isEmpty {
        throw .unsupported(feature: "model \(field)", value: text, supported: ["none"])
      }
    }
    return model
  }

  private static func vocabulary(
    _ model: JSONValue
  ) throws(TokenizerError) -> (tokens: StringTable, kinds: [TokenKind]) {
    guard let object = model["vocab"]?.object else { throw .missing(field: "model.vocab") }
    // A few holes happen; ids far beyond the number of tokens are an error, not an allocation.
    let limit = 4 * object.members.count + 65_536
    var memberOfToken: [Int32] = []
    for (index, member) in object.members.enumerated() {
      guard let id = member.value.integer, id >= 0, id < limit else {
        throw .invalid(field: "model.vocab", reason: "token '\(member.key)' has no id in 0..<\(limit)")
      }
      while memberOfToken.count <= id { memberOfToken.append(-1) }
      guard memberOfToken[id] < 0 else {
        throw .invalid(field: "model.vocab", reason: "token '\(member.key)' has the id \(id) of another token")
      }
      memberOfToken[id] = Int32(index)
    }
    var tokens = StringTable()
    tokens.reserve(entries: memberOfToken.count, byteCount: 8 * memberOfToken.count)
    for member in memberOfToken { tokens.append(member < 0 ? "".utf8 : object.members[Int(member)].key.utf8) }
    return (tokens, memberOfToken.map { $0 < 0 ? .unused : .normal })
  }

  /// Merges as `"left right"` or, in newer files, `["left", "right"]`.
  private static func merges(_ model: JSONValue) throws(TokenizerError) -> StringTable {
    guard let list = model["merges"]?.array else { throw .missing(field: "model.merges") }
    var merges = StringTable()
    merges.reserve(entries: list.count, byteCount: 12 * list.count)
    for (rank, merge) in list.enumerated() {
      if let text = merge.string {
        merges.append(text.utf8)
      } else if let pair = merge.array, pair.count == 2, let left = pair[0].string, let right = pair[1].string {
        merges.append("\(left) \(right)".utf8)
      } else {
        throw .invalid(field: "merge \(rank)", reason: "it is neither a text nor a pair of texts")
      }
    }
    return merges
  }

  private static func addedTokens(_ json: JSONValue) throws(TokenizerError) -> [AddedToken] {
    if json.isNull { return [] }
    guard let list = json.array else { throw .invalid(field: "added_tokens", reason: "it is \(json.kind)") }
    var result: [AddedToken] = []
    for entry in list {
      guard let content = entry["content"]?.string, let id = entry["id"]?.integer, let id = Int32(exactly: id) else {
        throw .invalid(field: "added_tokens", reason: "entry \(result.count) has no content or no id")
      }
      let isSpecial = try entry.flag("special") ?? false
      result.append(
        AddedToken(
          id: id, content: content, isSpecial: isSpecial, stripsLeft: try entry.flag("lstrip") ?? false,
          stripsRight: try entry.flag("rstrip") ?? false, isSingleWord: try entry.flag("single_word") ?? false,
          isNormalized: try entry.flag("normalized") ?? !isSpecial))
    }
    return result
  }

  /// The id of an added token or, failing that, of a token of the model.
  private func id(of name: String) -> Int32? {
    // By bytes: strings that only look alike are different tokens.
    let bytes = Array(name.utf8)
    if let token = addedTokens.first(where: { $0.content.utf8.elementsEqual(bytes) }) { return token.id }
    for token in 0..<tokens.count where tokens[token].elementsEqual(bytes) { return Int32(token) }
    return nil
  }

  // MARK: What is put around a text

  private mutating func readPostProcessor(_ json: JSONValue) throws(TokenizerError) {
    if json.isNull { return }
    switch json["type"]?.string {
    case "ByteLevel": return
    case "Sequence":
      guard let list = json["processors"]?.array else { throw .missing(field: "post_processor.processors") }
      for entry in list {
        guard entry["type"]?.string != "Sequence" else {
          throw .invalid(field: "post_processor", reason: "a Sequence inside a Sequence")
        }
        try readPostProcessor(entry)
      }
    case "TemplateProcessing": try readTemplate(json)
    case "BertProcessing", "RobertaProcessing":
      guard let begin = json["cls"]?.array?.last?.integer, let end = json["sep"]?.array?.last?.integer,
        let begin = Int32(exactly: begin), let end = Int32(exactly: end)
      else { throw .invalid(field: "post_processor", reason: "it has no cls or no sep token") }
      prefix = [begin]
      suffix = [end]
    case let type:
      throw .unsupported(
        feature: "post-processor", value: type ?? "none",
        supported: ["ByteLevel", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "Sequence"])
    }
  }

  /// A template's pieces for a single text: special tokens before and after the sequence.
  private mutating func readTemplate(_ json: JSONValue) throws(TokenizerError) {
    guard let pieces = json["single"]?.array else { throw .missing(field: "post_processor.single") }
    var before: [Int32] = []
    var after: [Int32] = []
    var hasSequence = false
    for piece in pieces {
      if piece["Sequence"] != nil {
        guard !hasSequence else { throw .invalid(field: "post_processor", reason: "the text stands in it twice") }
        hasSequence = true
      } else if let name = piece["SpecialToken"]?["id"]?.string {
        guard let ids = json["special_tokens"]?[name]?["ids"]?.array else {
          throw .invalid(field: "post_processor", reason: "special token '\(name)' has no ids")
        }
        for value in ids {
          guard let id = value.integer, let id = Int32(exactly: id) else {
            throw .invalid(field: "post_processor", reason: "an id of '\(name)' is \(value.kind)")
          }
          if hasSequence { after.append(id) } else { before.append(id) }
        }
      } else {
        throw .invalid(field: "post_processor", reason: "a piece is neither Sequence nor SpecialToken")
      }
    }
    guard hasSequence else { throw .invalid(field: "post_processor", reason: "the text does not stand in it") }
    prefix = before
    suffix = after
  }

  private static func checkDecoder(_ json: JSONValue) throws(TokenizerError) {
    if json.isNull { return }
    var type = json["type"]?.string ?? "none"
    if type == "Sequence", let list = json["decoders"]?.array, list.count == 1 {
      type = list[0]["type"]?.string ?? "none"
    }
    guard type == "ByteLevel" else { throw .unsupported(feature: "decoder", value: type, supported: ["ByteLevel"]) }
  }

  // MARK: tokenizer_config.json

  /// Takes the roles of tokens; where the file has no template, `add_bos_token` and `add_eos_token` make one.
  private mutating func readRoles(_ configuration: JSONValue?) throws(TokenizerError) {
    guard let configuration, !configuration.isNull else { return }
    guard configuration.object != nil else {
      throw .invalid(field: "file", reason: "tokenizer_config.json is \(configuration.kind)")
    }
    beginToken = try role("bos_token", in: configuration)
    endToken = try role("eos_token", in: configuration)
    paddingToken = try role("pad_token", in: configuration)
    unknownToken = try role("unk_token", in: configuration) ?? unknownToken
    guard prefix.isEmpty && suffix.isEmpty else { return }
    if let beginToken, try configuration.flag("add_bos_token") ?? false { prefix = [beginToken] }
    if let endToken, try configuration.flag("add_eos_token") ?? false { suffix = [endToken] }
  }

  private func role(_ name: String, in configuration: JSONValue) throws(TokenizerError) -> Int32? {
    guard let value = configuration[name], !value.isNull else { return nil }
    guard let text = value.string ?? value["content"]?.string else {
      throw .invalid(field: name, reason: "it is \(value.kind), not a text")
    }
    guard let id = id(of: text) else {
      throw .invalid(field: name, reason: "'\(text)' is not in the vocabulary")
    }
    return id
  }
}

extension JSONValue {
  /// A field that is true, false, null or absent.
  func flag(_ field: String) throws(TokenizerError) -> Bool? {
    guard let value = self[field], !value.isNull else { return nil }
    guard let flag = value.bool else { throw .invalid(field: field, reason: "it is \(value.kind), not true or false") }
    return flag
  }
}
