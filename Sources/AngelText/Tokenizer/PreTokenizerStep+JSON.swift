import AngelCore

extension PreTokenizerStep {
  /// The steps of a `pre_tokenizer` value.
  static func steps(_ json: JSONValue, depth: Int = 0) throws(TokenizerError) -> [PreTokenizerStep] {
    if json.isNull { return [] }
    switch json["type"]?.string {
    case "Sequence":
      guard let list = json["pretokenizers"]?.array else { throw .missing(field: "pre_tokenizer.pretokenizers") }
      return try StepSequence.steps(list, depth, of: "pre_tokenizer", steps)
    case "Split":
      return [
        .split(
          try SplitRule(json["pattern"] ?? .null, of: "pre_tokenizer"), try behavior(json["behavior"] ?? .null),
          inverted: try json.flag("invert") ?? false)
      ]
    case "Digits": return [.digits(individually: try json.flag("individual_digits") ?? false)]
    case "ByteLevel":
      return [
        .byteLevel(
          addingPrefixSpace: try json.flag("add_prefix_space") ?? false,
          splittingWords: try json.flag("use_regex") ?? true)
      ]
    case "Whitespace": return [.whitespace]
    case "WhitespaceSplit": return [.whitespaceSplit]
    case "Punctuation":
      return [.punctuation(json["behavior"] == nil ? .isolated : try behavior(json["behavior"] ?? .null))]
    case "Metaspace":
      return [
        .metaspace(
          marker: json["replacement"]?.string ?? "\u{2581}", try SpacePrefix(json),
          splitting: try json.flag("split") ?? true)
      ]
    case "BertPreTokenizer": return [.bert]
    case let type:
      throw .unsupported(
        feature: "pre-tokenizer", value: type ?? "none",
        supported: [
          "Sequence", "Split", "Digits", "ByteLevel", "Whitespace", "WhitespaceSplit", "Punctuation", "Metaspace",
          "BertPreTokenizer",
        ])
    }
  }

  private static func behavior(_ json: JSONValue) throws(TokenizerError) -> SplitBehavior {
    guard let name = json.string else { throw .missing(field: "pre_tokenizer behavior") }
    guard let behavior = SplitBehavior(rawValue: name) else {
      throw .unsupported(
        feature: "split behavior", value: name, supported: SplitBehavior.allCases.map(\.rawValue))
    }
    return behavior
  }
}

extension SpacePrefix {
  /// The scheme of a `Metaspace`; files before version 0.14 have `add_prefix_space` in its place.
  init(_ json: JSONValue) throws(TokenizerError) {
    guard let name = json["prepend_scheme"]?.string else {
      self = try json.flag("add_prefix_space") ?? true ? .always : .never
      return
    }
    guard let prefix = SpacePrefix(rawValue: name) else {
      throw .unsupported(
        feature: "prepend_scheme", value: name, supported: SpacePrefix.allCases.map(\.rawValue))
    }
    self = prefix
  }
}

extension SplitRule {
  /// A pattern: `{"Regex": …}`, `{"String": …}` or, in old files, a text.
  init(_ json: JSONValue, of field: String) throws(TokenizerError) {
    if let expression = json["Regex"]?.string {
      self = .expression(expression)
    } else if let literal = json["String"]?.string ?? json.string {
      self = .literal(literal)
    } else {
      throw .invalid(field: "\(field) pattern", reason: "it has neither Regex nor String")
    }
  }
}

/// Lists of steps in a file, which may nest.
enum StepSequence {
  private static let deepest = 8
  private static let mostSteps = 64

  /// The steps of each entry of `list`, one after the other.
  static func steps<Step>(
    _ list: [JSONValue], _ depth: Int, of field: String,
    _ steps: (JSONValue, Int) throws(TokenizerError) -> [Step]
  ) throws(TokenizerError) -> [Step] {
    guard depth < deepest else { throw .invalid(field: field, reason: "sequences nest too deep") }
    var result: [Step] = []
    for entry in list { result += try steps(entry, depth + 1) }
    guard result.count <= mostSteps else {
      throw .invalid(field: field, reason: "it has more than \(mostSteps) steps")
    }
    return result
  }
}
