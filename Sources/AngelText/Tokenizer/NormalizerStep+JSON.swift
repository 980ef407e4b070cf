import AngelCore

extension NormalizerStep {
  /// The steps of a `normalizer` value.
  static func steps(_ json: JSONValue, depth: Int = 0) throws(TokenizerError) -> [NormalizerStep] {
    if json.isNull { return [] }
    let type = json["type"]?.string ?? "none"
    if let form = UnicodeForm(rawValue: type) { return [.unicode(form)] }
    switch type {
    case "Sequence":
      guard let list = json["normalizers"]?.array else { throw .missing(field: "normalizer.normalizers") }
      return try StepSequence.steps(list, depth, of: "normalizer", steps)
    case "Prepend":
      guard let text = json["prepend"]?.string else { throw .missing(field: "normalizer.prepend") }
      return [.prepend(text)]
    case "Replace":
      guard let content = json["content"]?.string else { throw .missing(field: "normalizer.content") }
      let rule = try SplitRule(json["pattern"] ?? .null, of: "normalizer")
      guard rule != .literal("") else { throw .invalid(field: "normalizer", reason: "it replaces an empty text") }
      return [.replace(rule, with: content)]
    case "Strip":
      return [
        .strip(left: try json.flag("strip_left") ?? true, right: try json.flag("strip_right") ?? true)
      ]
    case "Lowercase": return [.lowercase]
    case "StripAccents": return [.stripAccents]
    case "BertNormalizer": return [.bert(try BertNormalization(json))]
    case "Precompiled":
      guard let text = json["precompiled_charsmap"]?.string else {
        throw .missing(field: "normalizer.precompiled_charsmap")
      }
      guard let bytes = Base64.decode(text) else {
        throw .invalid(field: "normalizer.precompiled_charsmap", reason: "it is not base64")
      }
      return bytes.isEmpty ? [] : [.characterMap(try CharacterMap(parsing: bytes, goesByGraphemes: true))]
    default:
      throw .unsupported(
        feature: "normalizer", value: type,
        supported: UnicodeForm.allCases.map(\.rawValue) + [
          "Sequence", "Prepend", "Replace", "Strip", "Lowercase", "StripAccents", "BertNormalizer", "Precompiled",
        ])
    }
  }
}

extension BertNormalization {
  /// A `BertNormalizer`; accents go with the case unless the file says otherwise.
  fileprivate init(_ json: JSONValue) throws(TokenizerError) {
    cleansText = try json.flag("clean_text") ?? true
    spacesChineseCharacters = try json.flag("handle_chinese_chars") ?? true
    lowercases = try json.flag("lowercase") ?? true
    stripsAccents = try json.flag("strip_accents") ?? lowercases
  }
}
