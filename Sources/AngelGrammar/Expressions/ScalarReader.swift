/// Reads a text of a notation character by character.
struct ScalarReader {
  let text: [Unicode.Scalar]
  var position = 0

  init(_ text: String) { self.text = Array(text.unicodeScalars) }

  var isAtEnd: Bool { position == text.count }

  /// The character that comes next.
  var peek: Unicode.Scalar? { position < text.count ? text[position] : nil }

  /// Takes this character where it comes next.
  mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard peek == scalar else { return false }
    position += 1
    return true
  }

  /// A number in decimal digits; nil: none comes next. Throws where it is more than a grammar can count.
  mutating func count() throws(GrammarError) -> Int? {
    var value: Int?
    while let digit = peek, ("0"..."9").contains(digit) {
      value = (value ?? 0) * 10 + Int(digit.value - 0x30)
      guard value ?? 0 < GrammarAutomaton.stateLimit else { throw .tooLarge(limit: GrammarAutomaton.stateLimit) }
      position += 1
    }
    return value
  }

  /// The value of so many hexadecimal digits, at most eight; nil where there are fewer.
  mutating func hexadecimal(digits: Int) -> UInt32? {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = peek.flatMap({ Character($0).hexDigitValue }) else { return nil }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
