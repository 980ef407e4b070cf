/// Reads regular expressions as far as they describe regular sets of texts, which both ECMAScript and Python write so.
///
/// Characters, escapes, classes, `.` (all but line ends), groups of any kind that only group, alternatives, and the repetitions
/// `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`, lazy or not (both match the same texts). `\d`, `\w` and `\s` are ASCII's. `^` and `$`
/// may stand at the ends of alternatives outside groups. Everything else is refused by its name and place: looking around,
/// back references, word boundaries, properties, flags, possessive repetitions.
struct RegularExpressionParser {
  private let text: [Unicode.Scalar]
  private var position = 0

  private static let longestText = 1 << 16
  private static let deepestGroup = 100

  /// The expression that a text says.
  static func parse(_ text: String) throws(GrammarError) -> RegularExpression {
    guard text.utf8.count <= longestText else {
      throw .expression(offset: 0, reason: "it has \(text.utf8.count) bytes, at most \(longestText) are read")
    }
    var parser = RegularExpressionParser(text: Array(text.unicodeScalars))
    return try parser.whole()
  }

  private init(text: [Unicode.Scalar]) { self.text = text }

  private mutating func whole() throws(GrammarError) -> RegularExpression {
    var alternatives: [RegularExpression.Alternative] = []
    while true {
      let startsAtBeginning = take("^")
      let body = try sequence(depth: 0)
      let stopsAtEnd = take("$")
      alternatives.append(.init(startsAtBeginning: startsAtBeginning, body: body, stopsAtEnd: stopsAtEnd))
      if take("|") { continue }
      guard position < text.count else { return RegularExpression(alternatives: alternatives) }
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
      position += 1
      return .oneOf(try characterClass())
    case ".":
      position += 1
      return .oneOf(ScalarSet("\n\r".unicodeScalars).inverted)
    case "\\": return .oneOf(try escape(inClass: false))
    case "^": throw failure("'^' is supported at the beginning only")
    case "$": throw failure("'$' is supported at the end only")
    case "*", "+", "?": throw failure("'\(next)' has nothing to repeat")
    case "{", "}", "]": throw failure("'\(next)' as a character must be written '\\\(next)'")
    default:
      position += 1
      return .oneOf(ScalarSet(CollectionOfOne(next)))
    }
  }

  private mutating func openGroup() throws(GrammarError) {
    let start = position
    position += 1
    guard take("?") else { return }
    if take(":") { return }
    _ = take("P")
    if take("<"), peek != "=", peek != "!" {
      while let scalar = peek, scalar != ">" {
        guard scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil else { break }
        position += 1
      }
      if take(">") { return }
    }
    position = start
    throw failure("groups that look around, name back or set flags are not supported")
  }

  private mutating func characterClass() throws(GrammarError) -> ScalarSet {
    let isInverted = take("^")
    var set = ScalarSet()
    while !take("]") {
      let start = position
      guard let first = peek else { throw failure("expected ']'") }
      let low = try member(first)
      // A hyphen before the end is one.
      guard peek == "-", position + 1 < text.count, text[position + 1] != "]" else {
        set.formUnion(low)
        continue
      }
      position += 1
      let high = try member(text[position])
      guard let from = low.single, let to = high.single, from <= to else {
        position = start
        throw failure("a range must go from one character to a later one")
      }
      set.insert(from...to)
    }
    let result = isInverted ? set.inverted : set
    guard !result.isEmpty else { throw failure("the class has no characters") }
    return result
  }

  private mutating func member(_ next: Unicode.Scalar) throws(GrammarError) -> ScalarSet {
    if next == "\\" { return try escape(inClass: true) }
    if next == "[" { throw failure("'[' in a class must be written '\\['") }
    position += 1
    return ScalarSet(CollectionOfOne(next))
  }

  private mutating func escape(inClass: Bool) throws(GrammarError) -> ScalarSet {
    let start = position
    position += 1
    guard let next = peek else { throw failure("the expression ends after '\\'") }
    position += 1
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
      position = start
      throw failure("'\\\(next)' is not supported")
    }
    return ScalarSet(CollectionOfOne(next))
  }

  private mutating func hexadecimal(digits: Int) throws(GrammarError) -> ScalarSet {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = peek.flatMap({ Character($0).hexDigitValue }) else {
        throw failure("expected \(digits) hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    guard Unicode.Scalar(value) != nil else { throw failure("halves of surrogate pairs are not supported") }
    return ScalarSet([value...value])
  }

  private mutating func repetition() throws(GrammarError) -> (least: Int, most: Int?)? {
    if take("*") { return (0, nil) }
    if take("+") { return (1, nil) }
    if take("?") { return (0, 1) }
    guard take("{") else { return nil }
    guard let least = try count() else { throw failure("expected a number; '{' as a character must be written '\\{'") }
    let most = take(",") ? try count() : least
    guard take("}") else { throw failure("expected '}'") }
    if let most, most < least { throw failure("at least \(least) and at most \(most) cannot be") }
    return (least, most)
  }

  private mutating func count() throws(GrammarError) -> Int? {
    var value: Int?
    while let digit = peek, ("0"..."9").contains(digit) {
      value = (value ?? 0) * 10 + Int(digit.value - 0x30)
      guard value ?? 0 < GrammarAutomaton.stateLimit else { throw .tooLarge(limit: GrammarAutomaton.stateLimit) }
      position += 1
    }
    return value
  }

  // MARK: Characters

  private static let digits = ScalarSet([0x30...0x39])
  private static let wordCharacters = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
  private static let spaces = ScalarSet([0x09...0x0D, 0x20...0x20])

  private var peek: Unicode.Scalar? { position < text.count ? text[position] : nil }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard peek == scalar else { return false }
    position += 1
    return true
  }

  private func failure(_ reason: String) -> GrammarError { .expression(offset: position, reason: reason) }
}

extension ScalarSet {
  /// The only character of the set.
  fileprivate var single: UInt32? {
    ranges.count == 1 && ranges[0].count == 1 ? ranges[0].lowerBound : nil
  }
}
