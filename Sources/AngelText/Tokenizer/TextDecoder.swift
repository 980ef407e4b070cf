/// Turns tokens into bytes one by one: `DecoderStep`s in the order that lets text be given out as tokens arrive.
///
/// Differs from the reference in one thing: where a run of byte tokens is not UTF-8, it replaces the whole run; here, as
/// in SentencePiece, its characters stay and what is broken becomes U+FFFD.
struct TextDecoder: Sendable {
  /// What is remembered from token to token.
  struct State: Sendable {
    fileprivate var isFirst = true
    /// How many characters may still be dropped at the start of the text.
    fileprivate var dropsLeft: Int

    /// From now on nothing is dropped.
    mutating func endBeginning() { (isFirst, dropsLeft) = (false, 0) }
  }

  private enum Step: Sendable {
    case replaceText([UInt8], with: [UInt8])
    case replaceMatches(SplitPattern, with: [UInt8])
    case strip([UInt8], start: Int, stop: Int)
    case dropMarkers([UInt8])
    case wordPiece(prefix: [UInt8], cleaningUp: Bool)
    case spaceBetween
  }

  /// Steps that see one token.
  private var steps: [Step] = []
  let isByteLevel: Bool
  private var fallsBackToBytes = false
  /// What `strip` after `fuse` drops at the start of the text, and how often.
  private var leading: [UInt8] = []
  private var leadingCount = 0

  init(_ description: [DecoderStep]) throws(TokenizerError) {
    isByteLevel = description.contains(.byteLevel)
    guard !isByteLevel || description.count == 1 else {
      throw .unsupported(feature: "decoder", value: "ByteLevel with other steps", supported: ["ByteLevel alone"])
    }
    var isFused = false
    for step in description {
      if case .fuse = step {
        isFused = true
      } else if isFused {
        try addFused(step)
      } else {
        try add(step)
      }
    }
  }

  private mutating func add(_ step: DecoderStep) throws(TokenizerError) {
    switch step {
    case .byteLevel, .fuse: break
    case .byteFallback: fallsBackToBytes = true
    case .replace(.literal(let text), let content):
      guard !text.isEmpty else { throw .invalid(field: "decoder", reason: "it replaces an empty text") }
      steps.append(.replaceText(Array(text.utf8), with: Array(content.utf8)))
    case .replace(.expression(let expression), let content):
      steps.append(.replaceMatches(try SplitPattern(.expression(expression)), with: Array(content.utf8)))
    case .strip(let character, let start, let stop):
      guard start >= 0, stop >= 0 else { throw .invalid(field: "decoder", reason: "a Strip of fewer than none") }
      steps.append(.strip(Array(String(character).utf8), start: start, stop: stop))
    case .metaspace(let marker, let droppingFirst):
      guard !marker.isEmpty else { throw .invalid(field: "decoder", reason: "a Metaspace without a marker") }
      if droppingFirst { steps.append(.dropMarkers(Array(marker.utf8))) }
      steps.append(.replaceText(Array(marker.utf8), with: [UInt8(ascii: " ")]))
    case .wordPiece(let prefix, let cleaningUp):
      steps.append(.wordPiece(prefix: Array(prefix.utf8), cleaningUp: cleaningUp))
    case .spaceBetween: steps.append(.spaceBetween)
    }
  }

  /// A step on the whole text: only one that can be done before the text's end is known.
  private mutating func addFused(_ step: DecoderStep) throws(TokenizerError) {
    guard case .strip(let character, let start, stop: 0) = step, leadingCount == 0, start >= 0 else {
      throw .unsupported(feature: "decoder after Fuse", value: "\(step)", supported: ["one Strip at the start"])
    }
    leading = Array(String(character).utf8)
    leadingCount = start
  }

  func start() -> State { State(dropsLeft: leadingCount) }

  /// Appends the bytes of a token of this spelling to `output`.
  func append(
    _ spelling: UnsafeBufferPointer<UInt8>, to output: inout [UInt8], _ state: inout State
  ) throws(TokenizerError) {
    let start = output.count
    try append(spelling, to: &output, isFirst: state.isFirst)
    state.isFirst = false
    while state.dropsLeft > 0, output.count > start {
      guard output[start...].starts(with: leading) else {
        state.dropsLeft = 0
        return
      }
      output.removeSubrange(start..<(start + leading.count))
      state.dropsLeft -= 1
    }
  }

  /// Appends the bytes of a token of this spelling, which is the text's first or one further on.
  func append(
    _ spelling: UnsafeBufferPointer<UInt8>, to output: inout [UInt8], isFirst: Bool
  ) throws(TokenizerError) {
    if isByteLevel {
      if !ByteAlphabet.decode(spelling, into: &output) { output.append(contentsOf: spelling) }
      return
    }
    if fallsBackToBytes, let byte = ByteTokens.byte(spelling) {
      output.append(byte)
      return
    }
    var text = Array(spelling)
    for step in steps { text = try Self.apply(step, to: text, isFirst: isFirst) }
    output.append(contentsOf: text)
  }

  private static func apply(_ step: Step, to text: [UInt8], isFirst: Bool) throws(TokenizerError) -> [UInt8] {
    switch step {
    case .replaceText(let pattern, let content): return TextReplacement.replace(pattern, content, in: text)
    case .replaceMatches(let pattern, let content):
      guard let memory = MatchMemory() else { throw .pattern(pattern.source, reason: "no memory to match with") }
      memory.prepare(byteCount: text.count)
      return try TextReplacement.replace(pattern, content, in: text, memory)
    case .strip(let character, let start, let stop): return strip(text, character, start, stop)
    case .dropMarkers(let marker): return isFirst ? TextReplacement.replace(marker, [], in: text) : text
    case .wordPiece(let prefix, let cleaningUp):
      var text = text
      if !isFirst {
        if text.starts(with: prefix) {
          text.removeFirst(prefix.count)
        } else {
          text.insert(UInt8(ascii: " "), at: 0)
        }
      }
      return cleaningUp ? cleanedUp(text) : text
    case .spaceBetween: return isFirst ? text : [UInt8(ascii: " ")] + text
    }
  }

  private static func strip(_ text: [UInt8], _ character: [UInt8], _ start: Int, _ stop: Int) -> [UInt8] {
    var text = text[...]
    for _ in 0..<start {
      guard text.starts(with: character) else { break }
      text = text.dropFirst(character.count)
    }
    for _ in 0..<stop {
      guard text.suffix(character.count).elementsEqual(character) else { break }
      text = text.dropLast(character.count)
    }
    return Array(text)
  }

  /// What English writes without the space that cutting words left.
  private static let contractions: [([UInt8], [UInt8])] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

  private static func cleanedUp(_ text: [UInt8]) -> [UInt8] {
    guard text.contains(UInt8(ascii: " ")) else { return text }
    return contractions.reduce(text) { TextReplacement.replace($1.0, $1.1, in: $0) }
  }
}
