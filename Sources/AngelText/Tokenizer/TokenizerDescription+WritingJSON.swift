public import AngelCore

extension TokenizerDescription {
  /// This tokenizer as a Hugging Face `tokenizer.json`.
  ///
  /// Tokens that stand for nothing (`TokenKind.unused`) are left out; throws where a token is not text, since JSON is.
  public func tokenizerJSON() throws(TokenizerError) -> JSONValue {
    .object(
      JSONObject(
        [("version", "1.0"), ("truncation", .null), ("padding", .null)] + stepMembers + [("model", try modelJSON())]))
  }

  /// All but the model and its vocabulary.
  var stepMembers: [(String, JSONValue)] {
    [
      ("added_tokens", .array(addedTokens.sorted { $0.id < $1.id }.map(\.json))),
      ("normalizer", Self.sequence(normalizers.flatMap(\.steps), type: "normalizers")),
      ("pre_tokenizer", Self.sequence(preTokenizer.map(\.json), type: "pretokenizers")),
      ("post_processor", postProcessorJSON),
      ("decoder", Self.sequence(decoder.compactMap(\.json), type: "decoders")),
    ]
  }

  private func modelJSON() throws(TokenizerError) -> JSONValue {
    switch model {
    case .bytePairs(let rules): try bytePairJSON(rules)
    case .scoredPairs(let rules): try bytePairJSON(merges(of: rules))
    case .unigram(let rules): try unigramJSON(rules)
    case .wordPiece(let rules):
      [
        "type": "WordPiece", "unk_token": .string(content(of: rules.unknownToken)),
        "continuing_subword_prefix": .string(rules.continuationPrefix),
        "max_input_chars_per_word": .integer(rules.longestWord), "vocab": .object(JSONObject(try vocabularyMembers())),
      ]
    }
  }

  /// Ids are places in the list here, so that every token has one; what text cannot become is as improbable as can be.
  private func unigramJSON(_ rules: UnigramRules) throws(TokenizerError) -> JSONValue {
    func isPiece(_ token: Int) -> Bool { kinds.isEmpty || kinds[token] != .unused }
    let least = rules.scores.indices.filter(isPiece).map { rules.scores[$0] }.min() ?? 0
    var list: [JSONValue] = []
    list.reserveCapacity(tokens.count)
    for token in 0..<tokens.count {
      list.append([.string(try text(of: token)), .number(isPiece(token) ? rules.scores[token] : least)])
    }
    return [
      "type": "Unigram", "unk_id": rules.unknownToken.map { .integer(Int($0)) } ?? .null, "vocab": .array(list),
      "byte_fallback": .bool(rules.fallsBackToBytes),
    ]
  }

  private func bytePairJSON(_ rules: BytePairRules) throws(TokenizerError) -> JSONValue {
    [
      "type": "BPE", "dropout": .null, "unk_token": rules.unknownToken.map { .string(content(of: $0)) } ?? .null,
      "continuing_subword_prefix": .null, "end_of_word_suffix": .null, "fuse_unk": .bool(rules.fusesUnknowns),
      "byte_fallback": .bool(rules.fallsBackToBytes), "ignore_merges": .bool(rules.ignoresMerges),
      "vocab": .object(JSONObject(try vocabularyMembers())),
      "merges": .array((0..<rules.merges.count).map { .string(rules.merges.string($0)) }),
    ]
  }

  /// The text of a token, for the files that name tokens instead of counting them.
  public func content(of token: Int32) -> String {
    if let added = addedTokens.first(where: { $0.id == token }) { return added.content }
    return Int(token) < tokens.count ? tokens.string(Int(token)) : ""
  }

  /// Added tokens are listed too: the library numbers those that are not by itself.
  private func vocabularyMembers() throws(TokenizerError) -> [(String, JSONValue)] {
    var members: [(String, JSONValue)] = []
    members.reserveCapacity(tokens.count)
    for token in 0..<tokens.count where kinds.isEmpty || kinds[token] != .unused {
      members.append((try text(of: token), .integer(token)))
    }
    return members
  }

  private func text(of token: Int) throws(TokenizerError) -> String {
    guard let text = String(validating: tokens[token], as: UTF8.self) else {
      throw .invalid(field: "token \(token)", reason: "its bytes are not UTF-8, which tokenizer.json cannot hold")
    }
    return text
  }

  private static func sequence(_ steps: [JSONValue], type: String) -> JSONValue {
    switch steps.count {
    case 0: .null
    case 1: steps[0]
    default: .object(JSONObject([("type", "Sequence"), (type, .array(steps))]))
    }
  }

  private var postProcessorJSON: JSONValue {
    guard !prefix.isEmpty || !suffix.isEmpty else {
      if !isByteLevel { return .null }
      return ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true]
    }
    func special(_ token: Int32) -> JSONValue {
      ["SpecialToken": ["id": .string(content(of: token)), "type_id": 0]]
    }
    func text(_ name: JSONValue, _ type: JSONValue, begins: Bool = true) -> [JSONValue] {
      (begins ? prefix.map(special) : []) + [["Sequence": ["id": name, "type_id": type]]] + suffix.map(special)
    }
    // BERT's begin token stands once before a pair of texts.
    let isWordPiece = if case .wordPiece = model { true } else { false }
    var tokens = JSONObject()
    for token in prefix + suffix {
      let name = content(of: token)
      tokens[name] = ["id": .string(name), "ids": [.integer(Int(token))], "tokens": [.string(name)]]
    }
    return [
      "type": "TemplateProcessing", "single": .array(text("A", 0)),
      "pair": .array(text("A", 0) + text("B", 1, begins: !isWordPiece)),
      "special_tokens": .object(tokens),
    ]
  }
}

extension AddedToken {
  fileprivate var json: JSONValue {
    [
      "id": .integer(Int(id)), "content": .string(content), "single_word": .bool(isSingleWord),
      "lstrip": .bool(stripsLeft), "rstrip": .bool(stripsRight), "normalized": .bool(isNormalized),
      "special": .bool(isSpecial),
    ]
  }
}

extension NormalizerStep {
  /// The step for the reference library, whose character maps go by grapheme clusters: there a line end of two characters
  /// would lose its second, so it is replaced beforehand by what SentencePiece makes of it.
  fileprivate var steps: [JSONValue] {
    guard case .characterMap(let map) = self, let content = map.lineEndLostByGraphemes else { return [json] }
    return [NormalizerStep.replace(.literal(CharacterMap.lineEnd), with: content).json, json]
  }

  private var json: JSONValue {
    switch self {
    case .unicode(let form): ["type": .string(form.rawValue)]
    case .prepend(let text): ["type": "Prepend", "prepend": .string(text)]
    case .replace(let rule, let content): ["type": "Replace", "pattern": rule.json, "content": .string(content)]
    case .strip(let left, let right): ["type": "Strip", "strip_left": .bool(left), "strip_right": .bool(right)]
    case .lowercase: ["type": "Lowercase"]
    case .stripAccents: ["type": "StripAccents"]
    case .bert(let normalization):
      [
        "type": "BertNormalizer", "clean_text": .bool(normalization.cleansText),
        "handle_chinese_chars": .bool(normalization.spacesChineseCharacters),
        "strip_accents": .bool(normalization.stripsAccents), "lowercase": .bool(normalization.lowercases),
      ]
    case .characterMap(let map):
      ["type": "Precompiled", "precompiled_charsmap": .string(Base64.encode(map.bytes))]
    }
  }
}

extension DecoderStep {
  /// Nil for what a file without a decoder means.
  fileprivate var json: JSONValue? {
    switch self {
    case .byteLevel: ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true]
    case .byteFallback: ["type": "ByteFallback"]
    case .fuse: ["type": "Fuse"]
    case .replace(let rule, let content): ["type": "Replace", "pattern": rule.json, "content": .string(content)]
    case .strip(let character, let start, let stop):
      [
        "type": "Strip", "content": .string(String(Character(character))),
        "start": .integer(min(start, Self.longestStrip)),
        "stop": .integer(min(stop, Self.longestStrip)),
      ]
    case .metaspace(let marker, let droppingFirst):
      [
        "type": "Metaspace", "replacement": .string(marker),
        "prepend_scheme": .string(droppingFirst ? "always" : "never"),
        "split": true,
      ]
    case .wordPiece(let prefix, let cleaningUp):
      ["type": "WordPiece", "prefix": .string(prefix), "cleanup": .bool(cleaningUp)]
    case .spaceBetween: nil
    }
  }
}

extension PreTokenizerStep {
  fileprivate var json: JSONValue {
    switch self {
    case .split(let rule, let behavior, let inverted):
      ["type": "Split", "pattern": rule.json, "behavior": .string(behavior.rawValue), "invert": .bool(inverted)]
    case .digits(let individually): ["type": "Digits", "individual_digits": .bool(individually)]
    case .byteLevel(let addingPrefixSpace, let splittingWords):
      [
        "type": "ByteLevel", "add_prefix_space": .bool(addingPrefixSpace), "trim_offsets": true,
        "use_regex": .bool(splittingWords),
      ]
    case .whitespace: ["type": "Whitespace"]
    case .whitespaceSplit: ["type": "WhitespaceSplit"]
    case .punctuation(let behavior): ["type": "Punctuation", "behavior": .string(behavior.rawValue)]
    case .metaspace(let marker, let prefix, let splitting):
      [
        "type": "Metaspace", "replacement": .string(marker), "prepend_scheme": .string(prefix.rawValue),
        "split": .bool(splitting),
      ]
    case .bert: ["type": "BertPreTokenizer"]
    }
  }
}

extension SplitRule {
  fileprivate var json: JSONValue {
    switch self {
    case .expression(let text): ["Regex": .string(text)]
    case .literal(let text): ["String": .string(text)]
    }
  }
}
