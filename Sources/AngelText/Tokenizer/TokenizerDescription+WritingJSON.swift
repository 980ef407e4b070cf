public import AngelCore

extension TokenizerDescription {
  /// This tokenizer as a Hugging Face `tokenizer.json`.
  ///
  /// Tokens that stand for nothing (`TokenKind.unused`) are left out; throws where a token is not text, since JSON is.
  public func tokenizerJSON() throws(TokenizerError) -> JSONValue {
    let vocabulary = try JSONValue.object(JSONObject(vocabularyMembers()))
    var model: JSONObject = JSONObject([("type", "BPE"), ("dropout", .null), ("unk_token", .null)])
    if let unknownByteToken { model["unk_token"] = .string(content(of: unknownByteToken)) }
    model["continuing_subword_prefix"] = .null
    model["end_of_word_suffix"] = .null
    model["fuse_unk"] = .bool(fusesUnknownBytes)
    model["byte_fallback"] = false
    model["ignore_merges"] = .bool(ignoresMerges)
    model["vocab"] = vocabulary
    model["merges"] = .array((0..<merges.count).map { .string(merges.string($0)) })
    return .object(
      JSONObject([
        ("version", "1.0"), ("truncation", .null), ("padding", .null),
        ("added_tokens", .array(addedTokens.sorted { $0.id < $1.id }.map(\.json))),
        ("normalizer", Self.sequence(normalizers.map(\.json), type: "normalizers")),
        ("pre_tokenizer", Self.sequence(preTokenizer.map(\.json), type: "pretokenizers")),
        ("post_processor", postProcessorJSON),
        (
          "decoder",
          ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true]
        ),
        ("model", .object(model)),
      ]))
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
      guard let text = String(validating: tokens[token], as: UTF8.self) else {
        throw .invalid(field: "token \(token)", reason: "its bytes are not UTF-8, which tokenizer.json cannot hold")
      }
      members.append((text, .integer(token)))
    }
    return members
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
      return ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true]
    }
    func special(_ token: Int32) -> JSONValue {
      ["SpecialToken": ["id": .string(content(of: token)), "type_id": 0]]
    }
    func text(_ name: JSONValue, _ type: JSONValue) -> [JSONValue] {
      prefix.map(special) + [["Sequence": ["id": name, "type_id": type]]] + suffix.map(special)
    }
    var tokens = JSONObject()
    for token in prefix + suffix {
      let name = content(of: token)
      tokens[name] = ["id": .string(name), "ids": [.integer(Int(token))], "tokens": [.string(name)]]
    }
    return [
      "type": "TemplateProcessing", "single": .array(text("A", 0)), "pair": .array(text("A", 0) + text("B", 1)),
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
  fileprivate var json: JSONValue {
    switch self {
    case .unicode(let form): ["type": .string(form.rawValue)]
    case .prepend(let text): ["type": "Prepend", "prepend": .string(text)]
    case .replace(let text, let content):
      ["type": "Replace", "pattern": ["String": .string(text)], "content": .string(content)]
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
