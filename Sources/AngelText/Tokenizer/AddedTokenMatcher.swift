/// Finds added tokens in a text: at each place the longest, from left to right, as Aho-Corasick's leftmost-longest does.
struct AddedTokenMatcher: Sendable {
  /// A stretch of text: a token, or plain text.
  struct Span {
    var range: Range<Int>
    var token: Int32?
  }

  private let tokens: [AddedToken]
  private var trie = ByteTrie()
  private var startsToken = [Bool](repeating: false, count: 256)

  /// Longer spellings are refused: each place in a text may cost that many steps.
  static let longestContent = 1_024

  var isEmpty: Bool { tokens.isEmpty }

  /// Prepares to find `tokens` by `spellings`, one for each; the first of equal spellings wins.
  init(_ tokens: [AddedToken], spellings: [[UInt8]]) {
    self.tokens = tokens
    for (index, spelling) in spellings.enumerated() {
      guard let first = spelling.first else { continue }
      startsToken[Int(first)] = true
      spelling.withUnsafeBufferPointer { trie.insert($0, Int32(index)) }
    }
  }

  /// Appends the spans of `text` to `spans`; ranges are positions in `text`.
  func find(in text: ArraySlice<UInt8>, includingSpecial: Bool, into spans: inout [Span]) {
    var plainStart = text.startIndex
    var position = text.startIndex
    while position < text.endIndex {
      guard startsToken[Int(text[position])], let (token, end) = longest(in: text, at: position) else {
        position += 1
        continue
      }
      defer { position = max(end, position) }
      if token.isSpecial && !includingSpecial { continue }
      if token.isSingleWord && touchesWord(text, position..<end) { continue }
      var start = position
      var stop = end
      if token.stripsLeft { start = max(Self.spaceStart(before: start, in: text), plainStart) }
      if token.stripsRight { stop = Self.spaceEnd(after: stop, in: text) }
      if plainStart < start { spans.append(Span(range: plainStart..<start, token: nil)) }
      spans.append(Span(range: start..<max(start, stop), token: token.id))
      plainStart = stop
    }
    if plainStart < text.endIndex { spans.append(Span(range: plainStart..<text.endIndex, token: nil)) }
  }

  private func longest(in text: ArraySlice<UInt8>, at start: Int) -> (AddedToken, end: Int)? {
    text.withUnsafeBufferPointer { bytes in
      trie.longestMatch(in: bytes, from: start - text.startIndex).map {
        (tokens[Int($0.value)], $0.end + text.startIndex)
      }
    }
  }

  private func touchesWord(_ text: ArraySlice<UInt8>, _ range: Range<Int>) -> Bool {
    if let before = Self.scalar(before: range.lowerBound, in: text), Self.isWord(before) { return true }
    if let after = Self.scalar(at: range.upperBound, in: text), Self.isWord(after) { return true }
    return false
  }

  private static func spaceStart(before position: Int, in text: ArraySlice<UInt8>) -> Int {
    var start = position
    while let scalar = scalar(before: start, in: text), scalar.properties.isWhitespace {
      start -= UTF8.width(scalar)
    }
    return start
  }

  private static func spaceEnd(after position: Int, in text: ArraySlice<UInt8>) -> Int {
    var end = position
    while let scalar = scalar(at: end, in: text), scalar.properties.isWhitespace { end += UTF8.width(scalar) }
    return end
  }

  private static func scalar(at position: Int, in text: ArraySlice<UInt8>) -> Unicode.Scalar? {
    guard position < text.endIndex else { return nil }
    return String(decoding: text[position..<min(position + 4, text.endIndex)], as: UTF8.self).unicodeScalars.first
  }

  private static func scalar(before position: Int, in text: ArraySlice<UInt8>) -> Unicode.Scalar? {
    var start = position - 1
    while start > text.startIndex, text[start] & 0xC0 == 0x80 { start -= 1 }
    return start < text.startIndex ? nil : scalar(at: start, in: text)
  }

  /// A word character as Unicode's regular expressions define it (UTS #18, annex C).
  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: true
    default: scalar.properties.isAlphabetic || scalar.properties.isJoinControl
    }
  }
}
