/// Rewrites text before it is cut, one `NormalizerStep` after the other.
struct Normalizer: Sendable {
  private enum Step: Sendable {
    case plain(NormalizerStep)
    case replaceText([UInt8], with: [UInt8])
    case replaceMatches(SplitPattern, with: [UInt8])
  }

  private let steps: [Step]

  /// A text may not grow beyond this many times its size plus a page: a `replace` in a file could double it each step.
  private static let growthLimit = 64

  var isEmpty: Bool { steps.isEmpty }

  init(_ description: [NormalizerStep]) throws(TokenizerError) {
    var steps: [Step] = []
    for step in description {
      switch step {
      case .replace(.literal(let text), let content):
        guard !text.isEmpty else { throw .invalid(field: "normalizer", reason: "it replaces an empty text") }
        steps.append(.replaceText(Array(text.utf8), with: Array(content.utf8)))
      case .replace(.expression(let expression), let content):
        steps.append(.replaceMatches(try SplitPattern(.expression(expression)), with: Array(content.utf8)))
      case .unicode, .prepend, .strip, .lowercase, .stripAccents, .bert, .characterMap: steps.append(.plain(step))
      }
    }
    self.steps = steps
  }

  /// The rewritten text; `removesStart` becomes true when the first character of `text` is gone: dropped, or
  /// replaced together with others, as the reference's alignments have it.
  func normalize(
    _ text: [UInt8], _ memory: MatchMemory, removesStart: inout Bool
  ) throws(TokenizerError) -> [UInt8] {
    guard !text.isEmpty else { return text }
    let limit = text.count.multipliedReportingOverflow(by: Self.growthLimit).partialValue + 4_096
    var text = text
    for step in steps {
      switch step {
      case .plain(let step): text = try Self.apply(step, to: text, removesStart: &removesStart)
      case .replaceText(let pattern, let content):
        if text.starts(with: pattern), content.isEmpty || Self.hasSeveralCharacters(pattern[...]) {
          removesStart = true
        }
        text = TextReplacement.replace(pattern, content, in: text, limit: limit)
      case .replaceMatches(let pattern, let content):
        if let start = try Self.start(of: text, matching: pattern, memory),
          content.isEmpty || Self.hasSeveralCharacters(start)
        {
          removesStart = true
        }
        text = try TextReplacement.replace(pattern, content, in: text, limit: limit, memory)
      }
      guard text.count <= limit else {
        throw .invalid(field: "normalizer", reason: "it makes the text more than \(Self.growthLimit) times longer")
      }
    }
    return text
  }

  private static func apply(
    _ step: NormalizerStep, to text: [UInt8], removesStart: inout Bool
  ) throws(TokenizerError) -> [UInt8] {
    switch step {
    case .unicode(let form): try UnicodeNormalization.normalize(text, to: form)
    case .prepend(let prefix): text.isEmpty ? text : Array(prefix.utf8) + text
    case .strip(let left, let right): strip(text, left: left, right: right, removesStart: &removesStart)
    case .lowercase: CharacterRewriting.lowercased(text)
    case .stripAccents: CharacterRewriting.withoutMarks(text, nonspacingOnly: false, removesStart: &removesStart)
    case .bert(let options): try options.apply(to: text, removesStart: &removesStart)
    case .characterMap(let map): map.map(text)
    case .replace: text
    }
  }

  private static func strip(_ text: [UInt8], left: Bool, right: Bool, removesStart: inout Bool) -> [UInt8] {
    let scalars = String(decoding: text, as: UTF8.self).unicodeScalars
    var start = scalars.startIndex
    var end = scalars.endIndex
    while left, start < end, scalars[start].properties.isWhitespace { start = scalars.index(after: start) }
    while right, start < end, scalars[scalars.index(before: end)].properties.isWhitespace {
      end = scalars.index(before: end)
    }
    if start > scalars.startIndex { removesStart = true }
    return Array(String(scalars[start..<end]).utf8)
  }

  /// What `pattern` matches at the start of a text, if anything.
  private static func start(
    of text: [UInt8], matching pattern: SplitPattern, _ memory: MatchMemory
  ) throws(TokenizerError) -> ArraySlice<UInt8>? {
    let match = try text.withUnsafeBufferPointer { (bytes) throws(TokenizerError) in
      try pattern.firstMatch(in: bytes, from: 0, memory)
    }
    guard let match, match.lowerBound == 0, !match.isEmpty else { return nil }
    return text[match]
  }

  private static func hasSeveralCharacters(_ text: ArraySlice<UInt8>) -> Bool {
    text.dropFirst().contains { $0 & 0xC0 != 0x80 }
  }
}
