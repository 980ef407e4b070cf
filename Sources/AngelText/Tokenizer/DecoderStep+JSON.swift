import AngelCore

extension DecoderStep {
  /// The most characters that a file may ask to drop; more stand for all that there are.
  static let longestStrip = 1_024

  /// The steps of a `decoder` value.
  static func steps(_ json: JSONValue, depth: Int = 0) throws(TokenizerError) -> [DecoderStep] {
    if json.isNull { return [] }
    switch json["type"]?.string {
    case "Sequence":
      guard let list = json["decoders"]?.array else { throw .missing(field: "decoder.decoders") }
      return try StepSequence.steps(list, depth, of: "decoder", steps)
    case "ByteLevel": return [.byteLevel]
    case "ByteFallback": return [.byteFallback]
    case "Fuse": return [.fuse]
    case "Replace":
      guard let content = json["content"]?.string else { throw .missing(field: "decoder.content") }
      let rule = try SplitRule(json["pattern"] ?? .null, of: "decoder")
      guard rule != .literal("") else { throw .invalid(field: "decoder", reason: "it replaces an empty text") }
      return [.replace(rule, with: content)]
    case "Strip": return [try strip(json)]
    case "Metaspace": return [try metaspace(json)]
    case "WordPiece":
      return [.wordPiece(prefix: json["prefix"]?.string ?? "##", cleaningUp: try json.flag("cleanup") ?? true)]
    case let type:
      throw .unsupported(
        feature: "decoder", value: type ?? "none",
        supported: [
          "Sequence", "ByteLevel", "ByteFallback", "Fuse", "Replace", "Strip", "Metaspace", "WordPiece",
        ])
    }
  }

  private static func strip(_ json: JSONValue) throws(TokenizerError) -> DecoderStep {
    guard let content = json["content"]?.string, let character = content.unicodeScalars.first,
      content.unicodeScalars.count == 1
    else { throw .invalid(field: "decoder.content", reason: "a Strip needs one character") }
    guard let start = (json["start"] ?? 0).integer, let stop = (json["stop"] ?? 0).integer, start >= 0, stop >= 0,
      start <= longestStrip, stop <= longestStrip
    else { throw .invalid(field: "decoder", reason: "the start and stop of a Strip are not in 0...\(longestStrip)") }
    return .strip(character, start: start, stop: stop)
  }

  private static func metaspace(_ json: JSONValue) throws(TokenizerError) -> DecoderStep {
    let marker = json["replacement"]?.string ?? "\u{2581}"
    guard marker.unicodeScalars.count == 1 else {
      throw .invalid(field: "decoder.replacement", reason: "a Metaspace needs one character")
    }
    return .metaspace(marker: marker, droppingFirst: try SpacePrefix(json) != .never)
  }
}
