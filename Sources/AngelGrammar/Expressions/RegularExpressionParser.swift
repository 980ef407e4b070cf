/// Reads regular expressions as far as they describe regular sets of texts, which both ECMAScript and Python write so.
///
/// Characters, escapes, classes, `.` (all but line ends), groups of any kind that only group, alternatives, and the repetitions
/// `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`, lazy or not (both match the same texts). `\d`, `\w` and `\s` are ASCII's. `^` and `$`
/// may stand at the ends of alternatives outside groups. Everything else is refused by its name and place: looking around,
/// back references, word boundaries, properties, flags, possessive repetitions.
struct RegularExpressionParser {
  private var reader: ScalarReader

  private static let longestText = 1 << 16
  private static let deepestGroup = 100

  /// The expression that a text says.
  static func parse(_ text: String) throws(GrammarError) -> RegularExpression {
    guard text.utf8.count <= longestText else {
      throw .expression(offset: 0, reason: "it has \(text.utf8.count) bytes, at most \(longestText) are read")
    }
    var parser = RegularExpressionParser(reader: ScalarReader(text))
    return try parser.whole()
  }

  private init(reader: ScalarReader) { self.reader = reader }

  private mutating func whole() throws(GrammarError) -> RegularExpression {
    var alternatives: [RegularExpression.Alternative] = []
    while true {
      let startsAtBeginning = take("^")
      let body = try sequence(depth: 0)
      let stopsAtEnd = take("$")
      alternatives.append(.init(startsAtBeginning: startsAtBeginning, body: body, stopsAtEnd: stopsAtEnd))
      if take("|") { continue }
      guard !reader.isAtEnd else { return RegularExpression(alternatives: alternatives) }
      throw failure(peek == ")" ? "')' without '('" : stopsAtEnd ? "'$' is supported at the end only" : "unexpected")
    }
  }

  private mutating func alternatives(depth: Int) throws(GrammarError) -> CharacterExpression {
    guard depth <= Self.deepestGroup else { throw failure("groups are nested deeper than \(Self.deepestGroup)") }
    var result = [try sequence(depth: depth)]
    while take("|") { result.append(try sequence(depth: depth)) }
    return result.count == 1 ? result[0] : .choice(result)
  }

  private mutating func sequence(depth: Int) throws(GrammarError) -> CharacterExpression {
    var parts: [CharacterExpression] = []
    while let next = peek, next != "|", next != ")", !(next == "$" && depth == 0) {
      var part = try atom(next, depth: depth)
      if let bounds = try repetition() {
        part = .repeated(part, min: bounds.least, max: bounds.most)
        _ = take("?")
        if peek == "+" { throw failure("possessive repetitions are not supported") }
        if let next = peek, "*+?{".unicodeScalars.contains(next) { throw failure("a repetition of a repetition") }
      }
      parts.append(part)
    }
    return parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func atom(_ next: Unicode.Scalar, depth: Int) throws(GrammarError) -> CharacterExpression {
    switch next {
    case "(":
      try openGroup()
      let inner = try alternatives(depth: depth + 1)
      guard take(")") else { throw failure("expected ')'") }
      return inner
    case "[":
      reader.position += 1
      return .oneOf(try characterClass())
    case ".":
      reader.position += 1
      return .oneOf(ScalarSet("\n\r".unicodeScalars).inverted)
    case "\\": return .oneOf(try escape(inClass: false))
    case "^": throw failure("'^' is supported at the beginning only")
    case "$": throw failure("'$' is supported at the end only")
    case "*", "+", "?": throw failure("'\(next)' has nothing to repeat")
    case "{", "}", "]": throw failure("'\(next)' as a character must be written '\\\(next)'")
    default:
      reader.position += 1
      return .oneOf(ScalarSet(CollectionOfOne(next)))
    }
  }

  private mutating func openGroup() throws(GrammarError) {
    let start = reader.position
    reader.position += 1
    guard take("?") else { return }
    if take(":") { return }
    _ = take("P")
    if take("<"), peek != "=", peek != "!" {
      while let scalar = peek, scalar != ">" {
        guard scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil else { break }
        reader.position += 1
      }
      if take(">") { return }
    }
    reader.position = start
    throw failure("groups that look around, name back or set flags are not supported")
  }

  private mutating func characterClass() throws(GrammarError) -> ScalarSet {
    let isInverted = take("^")
    var ranges: [ClosedRange<UInt32>] = []
    while !take("]") {
      let start = reader.position
      guard let first = peek else { throw failure("expected ']'") }
      let low = try member(first)
      // A hyphen before the end is one.
      guard peek == "-", reader.position + 1 < reader.text.count, reader.text[reader.position + 1] != "]" else {
        ranges += low.ranges
        continue
      }
      reader.position += 1
      let high = try member(reader.text[reader.position])
      guard let from = low.single, let to = high.single, from <= to else {
        reader.position = start
        throw failure("a range must go from one character to a later one")
      }
      ranges.append(from...to)
    }
    let set = ScalarSet(ranges)
    let result = isInverted ? set.inverted : set
    guard !result.isEmpty else { throw failure("the class has no characters") }
    return result
  }

  private mutating func member(_ next: Unicode.Scalar) throws(GrammarError) -> ScalarSet {
    if next == "\\" { return try escape(inClass: true) }
    if next == "[" { throw failure("'[' in a class must be written '\\['") }
    reader.position += 1
    return ScalarSet(CollectionOfOne(next))
  }

  private mutating func escape(inClass: Bool) throws(GrammarError) -> ScalarSet {
    let start = reader.position
    reader.position += 1
    guard let next = peek else { throw failure("the expression ends after '\\'") }
    reader.position += 1
    switch next {
    case "d": return Self.digits
    case "D": return Self.digits.inverted
    case "w": return Self.wordCharacters
    case "W": return Self.wordCharacters.inverted
    case "s": return Self.spaces
    case "S": return Self.spaces.inverted
    case "n": return ScalarSet([0x0A...0x0A])
    case "r": return ScalarSet([0x0D...0x0D])
    case "t": return ScalarSet([0x09...0x09])
    case "f": return ScalarSet([0x0C...0x0C])
    case "v": return ScalarSet([0x0B...0x0B])
    case "b" where inClass: return ScalarSet([0x08...0x08])
    case "x": return try hexadecimal(digits: 2)
    case "u": return try hexadecimal(digits: 4)
    default: break
    }
    guard next.isASCII, !next.properties.isAlphabetic, !("0"..."9").contains(next) else {
      reader.position = start
      throw failure("'\\\(next)' is not supported")
    }
    return ScalarSet(CollectionOfOne(next))
  }

  private mutating func hexadecimal(digits: Int) throws(GrammarError) -> ScalarSet {
    guard let value = reader.hexadecimal(digits: digits) else {
      throw failure("expected \(digits) hexadecimal digits")
    }
    guard Unicode.Scalar(value) != nil else { throw failure("halves of surrogate pairs are not supported") }
    return ScalarSet([value...value])
  }

  private mutating func repetition() throws(GrammarError) -> (least: Int, most: Int?)? {
    if take("*") { return (0, nil) }
    if take("+") { return (1, nil) }
    if take("?") { return (0, 1) }
    guard take("{") else { return nil }
    guard let least = try reader.count() else {
      throw failure("expected a number; '{' as a character must be written '\\{'")
    }
    let most = take(",") ? try reader.count() : least
    guard take("}") else { throw failure("expected '}'") }
    if let most, most < least { throw failure("at least \(least) and at most \(most) cannot be") }
    return (least, most)
  }

  // MARK: Characters

  private static let digits = ScalarSet([0x30...0x39])
  private static let wordCharacters = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
  private static let spaces = ScalarSet([0x09...0x0D, 0x20...0x20])

  private var peek: Unicode.Scalar? { reader.peek }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool { reader.take(scalar) }

  private func failure(_ reason: String) -> GrammarError { .expression(offset: reader.position, reason: reason) }
}

extension ScalarSet {
  /// The only character of the set.
  fileprivate var single: UInt32? {
    ranges.count == 1 && ranges[0].count == 1 ? ranges[0].lowerBound : nil
  }
}
