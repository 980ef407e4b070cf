public import AngelCore

extension TokenizerDescription {
  /// Reads a Hugging Face `tokenizer.json`, and the roles in `tokenizer_config.json` where there is one.
  ///
  /// Models BPE, Unigram and WordPiece. A null decoder after a ByteLevel pre-tokenizer is read as ByteLevel, because that
  /// is what the vocabulary is spelled in.
  public init(tokenizerJSON json: JSONValue, tokenizerConfiguration: JSONValue? = nil) throws(TokenizerError) {
    guard json.object != nil else { throw .invalid(field: "file", reason: "tokenizer.json is \(json.kind)") }
    guard let model = json["model"], model.object != nil else { throw .missing(field: "model") }
    let vocabulary = try ModelReader(model).read()
    self.init(
      tokens: vocabulary.tokens, kinds: vocabulary.kinds, model: vocabulary.model,
      normalizers: try NormalizerStep.steps(json["normalizer"] ?? .null),
      preTokenizer: try PreTokenizerStep.steps(json["pre_tokenizer"] ?? .null),
      addedTokens: try Self.addedTokens(json["added_tokens"] ?? .array([])))
    try resolveUnknownToken(model)
    try readPostProcessor(json["post_processor"] ?? .null)
    decoder = try DecoderStep.steps(json["decoder"] ?? .null)
    // What the reference joins with spaces nobody wants to read where the pre-tokenizer says how it is spelled.
    if decoder.isEmpty { decoder = isByteLevel ? [.byteLevel] : [.spaceBetween] }
    try readRoles(tokenizerConfiguration)
  }

  /// Finds the token called `unk_token`, which may be an added one.
  private mutating func resolveUnknownToken(_ json: JSONValue) throws(TokenizerError) {
    let name = json["unk_token"]?.string
    let token = name.flatMap { id(of: $0) }
    switch model {
    case .bytePairs(var rules):
      rules.unknownToken = token
      model = .bytePairs(rules)
    case .wordPiece(var rules):
      guard let token else {
        throw .invalid(field: "model.unk_token", reason: "'\(name ?? "none")' is not in the vocabulary")
      }
      rules.unknownToken = token
      model = .wordPiece(rules)
    case .scoredPairs, .unigram: break
    }
    unknownToken = model.unknownToken
  }

  private static func addedTokens(_ json: JSONValue) throws(TokenizerError) -> [AddedToken] {
    if json.isNull { return [] }
    guard let list = json.array else { throw .invalid(field: "added_tokens", reason: "it is \(json.kind)") }
    var result: [AddedToken] = []
    for entry in list {
      guard let id = entry["id"]?.integer, let id = Int32(exactly: id) else {
        throw .invalid(field: "added_tokens", reason: "entry \(result.count) has no id")
      }
      result.append(try AddedToken(entry, id: id))
    }
    return result
  }

  /// Adds the tokens of `added_tokens_decoder` (`{"32000": {"content": …}}`) that are not there yet.
  mutating func addTokens(_ json: JSONValue?) throws(TokenizerError) {
    guard let json, !json.isNull else { return }
    guard let object = json.object else {
      throw .invalid(field: "added_tokens_decoder", reason: "it is \(json.kind), not an object")
    }
    let known = Set(addedTokens.map(\.id))
    for member in object.members {
      guard let id = Int32(member.key) else {
        throw .invalid(field: "added_tokens_decoder", reason: "'\(member.key)' is not an id")
      }
      if !known.contains(id) { addedTokens.append(try AddedToken(member.value, id: id)) }
    }
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

  // MARK: tokenizer_config.json

  /// Takes the roles of tokens; where the file has no template, `add_bos_token` and `add_eos_token` make one.
  mutating func readRoles(_ configuration: JSONValue?) throws(TokenizerError) {
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

extension AddedToken {
  /// An entry of `added_tokens`, or of `added_tokens_decoder`, where the id is the key.
  fileprivate init(_ json: JSONValue, id: Int32) throws(TokenizerError) {
    guard let content = json["content"]?.string else {
      throw .invalid(field: "added token \(id)", reason: "it has no content")
    }
    let isSpecial = try json.flag("special") ?? false
    self.init(
      id: id, content: content, isSpecial: isSpecial, stripsLeft: try json.flag("lstrip") ?? false,
      stripsRight: try json.flag("rstrip") ?? false, isSingleWord: try json.flag("single_word") ?? false,
      isNormalized: try json.flag("normalized") ?? !isSpecial)
  }
}
