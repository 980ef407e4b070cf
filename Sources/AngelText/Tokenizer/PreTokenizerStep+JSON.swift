import AngelCore

/// Sequences may nest this deep in a file.
private let deepestSequence = 8
/// Steps a file may have in all.
private let mostSteps = 64

extension PreTokenizerStep {
  /// The steps of a `pre_tokenizer` value.
  static func steps(_ json: JSONValue, depth: Int = 0) throws(TokenizerError) -> [PreTokenizerStep] {
    if json.isNull { return [] }
    switch json["type"]?.string {
    case "Sequence":
      guard let list = json["pretokenizers"]?.array else { throw .missing(field: "pre_tokenizer.pretokenizers") }
      return try sequence(list, depth, of: "pre_tokenizer", steps)
    case "Split":
      return [
        .split(
          try rule(json["pattern"] ?? .null), try behavior(json["behavior"] ?? .null),
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
    case let type:
      throw .unsupported(
        feature: "pre-tokenizer", value: type ?? "none",
        supported: ["Sequence", "Split", "Digits", "ByteLevel", "Whitespace", "WhitespaceSplit", "Punctuation"])
    }
  }

  private static func rule(_ json: JSONValue) throws(TokenizerError) -> SplitRule {
    if let expression = json["Regex"]?.string { return .expression(expression) }
    if let literal = json["String"]?.string ?? json.string { return .literal(literal) }
    throw .invalid(field: "pre_tokenizer pattern", reason: "it has neither Regex nor String")
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

extension NormalizerStep {
  /// The steps of a `normalizer` value.
  static func steps(_ json: JSONValue, depth: Int = 0) throws(TokenizerError) -> [NormalizerStep] {
    if json.isNull { return [] }
    let type = json["type"]?.string ?? "none"
    if let form = UnicodeForm(rawValue: type) { return [.unicode(form)] }
    switch type {
    case "Sequence":
      guard let list = json["normalizers"]?.array else { throw .missing(field: "normalizer.normalizers") }
      return try sequence(list, depth, of: "normalizer", steps)
    case "Prepend":
      guard let text = json["prepend"]?.string else { throw .missing(field: "normalizer.prepend") }
      return [.prepend(text)]
    case "Replace":
      guard let content = json["content"]?.string else { throw .missing(field: "normalizer.content") }
      guard let text = json["pattern"]?["String"]?.string, !text.isEmpty else {
        throw .unsupported(feature: "normalizer", value: "Replace of a Regex", supported: ["Replace of a String"])
      }
      return [.replace(text, with: content)]
    default:
      throw .unsupported(
        feature: "normalizer", value: type,
        supported: UnicodeForm.allCases.map(\.rawValue) + ["Sequence", "Prepend", "Replace"])
    }
  }
}

private func sequence<Step>(
  _ list: [JSONValue], _ depth: Int, of field: String, _ steps: (JSONValue, Int) throws(TokenizerError) -> [Step]
) throws(TokenizerError) -> [Step] {
  guard depth < deepestSequence else { throw .invalid(field: field, reason: "sequences nest too deep") }
  var result: [Step] = []
  for entry in list { result += try steps(entry, depth + 1) }
  guard result.count <= mostSteps else { throw .invalid(field: field, reason: "it has more than \(mostSteps) steps") }
  return result
}
