/// Reads grammars in GBNF, the notation of llama.cpp: `root ::= "yes" | "no"`.
///
/// Rules, alternatives, sequences, groups, literals with escapes, character classes, `.`, and the repetitions `*`, `+`, `?`,
/// `{n}`, `{n,}` and `{n,m}`; comments from `#`. Tokens (`<…>`) are refused. A rule may not begin with itself.
struct GBNFParser {
  private let text: [Unicode.Scalar]
  private var position = 0
  /// Rules by name, in the order in which they are first named.
  private var numbers: [String: Int] = [:]
  private var names: [String] = []
  private var bodies: [Int: GrammarExpression] = [:]
  /// Where each rule is first named.
  private var places: [Int] = []

  private static let longestText = 1 << 20
  private static let deepestGroup = 100

  private init(_ text: String) { self.text = Array(text.unicodeScalars) }

  /// The grammar that a text says.
  static func parse(_ text: String) throws(GrammarError) -> Grammar {
    guard text.utf8.count <= longestText else {
      throw .syntax(line: 1, column: 1, reason: "it has \(text.utf8.count) bytes, at most \(longestText) are read")
    }
    var parser = GBNFParser(text)
    return try parser.grammar()
  }

  private mutating func grammar() throws(GrammarError) -> Grammar {
    skipSpace(acrossLines: true)
    while position < text.count { try rule() }
    guard let root = numbers["root"], bodies[root] != nil else { throw failure("there is no rule 'root'") }
    var rules: [Grammar.Rule] = []
    for (number, name) in names.enumerated() {
      guard let body = bodies[number] else { throw .undefinedRule(name: name, line: line(of: places[number])) }
      rules.append(Grammar.Rule(name: name, body: body))
    }
    return Grammar(rules: rules, root: root)
  }

  private mutating func rule() throws(GrammarError) {
    let start = position
    guard let name = name() else { throw failure("expected the name of a rule") }
    skipSpace(acrossLines: false)
    for mark in "::=".unicodeScalars {
      guard peek == mark else { throw failure("expected '::=' after '\(name)'") }
      position += 1
    }
    skipSpace(acrossLines: true)
    let number = number(of: name)
    let body = try alternatives(depth: 0)
    guard bodies[number] == nil else {
      position = start
      throw failure("rule '\(name)' is defined twice")
    }
    bodies[number] = body
    if position < text.count, peek != "\n", peek != "\r" { throw failure("expected the end of rule '\(name)'") }
    skipSpace(acrossLines: true)
  }

  private mutating func alternatives(depth: Int) throws(GrammarError) -> GrammarExpression {
    guard depth <= Self.deepestGroup else { throw failure("groups are nested deeper than \(Self.deepestGroup)") }
    var result = [try sequence(depth: depth)]
    while peek == "|" {
      position += 1
      skipSpace(acrossLines: true)
      result.append(try sequence(depth: depth))
    }
    return result.count == 1 ? result[0] : .choice(result)
  }

  private mutating func sequence(depth: Int) throws(GrammarError) -> GrammarExpression {
    var parts: [GrammarExpression] = []
    while let next = peek, next != "|", next != ")", next != "\n", next != "\r" {
      var part = try symbol(next, depth: depth)
      skipSpace(acrossLines: depth > 0)
      while let bounds = try repetition() {
        part = .repeated(part, min: bounds.least, max: bounds.most)
        skipSpace(acrossLines: depth > 0)
      }
      parts.append(part)
    }
    return parts.count == 1 ? parts[0] : parts.isEmpty ? .empty : .sequence(parts)
  }

  private mutating func symbol(_ next: Unicode.Scalar, depth: Int) throws(GrammarError) -> GrammarExpression {
    switch next {
    case "\"":
      position += 1
      var literal = String.UnicodeScalarView()
      while peek != "\"" { literal.append(try character(of: "a text in quotes")) }
      position += 1
      return .text(String(literal))
    case "[":
      position += 1
      return try characterClass().expression
    case ".":
      position += 1
      return ScalarSet.all.expression
    case "(":
      position += 1
      skipSpace(acrossLines: true)
      let inner = try alternatives(depth: depth + 1)
      guard peek == ")" else { throw failure("expected ')'") }
      position += 1
      return inner
    case "<", "!": throw failure("tokens ('<…>') are not supported: write the text of the token in quotes")
    default:
      guard let name = name() else { throw failure("unexpected '\(next)'") }
      return .rule(number(of: name))
    }
  }

  private mutating func characterClass() throws(GrammarError) -> ScalarSet {
    var set = ScalarSet()
    let isInverted = peek == "^"
    if isInverted { position += 1 }
    while peek != "]" {
      let first = try character(of: "a class in brackets").value
      var last = first
      if peek == "-", position + 1 < text.count, text[position + 1] != "]" {
        position += 1
        last = try character(of: "a class in brackets").value
        guard first <= last else { throw failure("the range ends before it begins") }
      }
      set.insert(first...last)
    }
    position += 1
    let result = isInverted ? set.inverted : set
    guard !result.isEmpty else { throw failure("the class has no characters") }
    return result
  }

  /// A character, or what a backslash and the next ones mean.
  private mutating func character(of whole: String) throws(GrammarError) -> Unicode.Scalar {
    guard let first = peek else { throw failure("the grammar ends inside \(whole)") }
    position += 1
    guard first == "\\" else { return first }
    guard let escaped = peek else { throw failure("the grammar ends inside \(whole)") }
    position += 1
    switch escaped {
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "\\", "\"", "[", "]", "-", "^": return escaped
    case "x": return try hexadecimal(digits: 2)
    case "u": return try hexadecimal(digits: 4)
    case "U": return try hexadecimal(digits: 8)
    default: throw failure("unknown escape '\\\(escaped)'")
    }
  }

  private mutating func hexadecimal(digits: Int) throws(GrammarError) -> Unicode.Scalar {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = peek.flatMap({ Character($0).hexDigitValue }) else {
        throw failure("expected \(digits) hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    guard let scalar = Unicode.Scalar(value) else { throw failure("there is no character \(value)") }
    return scalar
  }

  private mutating func repetition() throws(GrammarError) -> (least: Int, most: Int?)? {
    switch peek {
    case "*":
      position += 1
      return (0, nil)
    case "+":
      position += 1
      return (1, nil)
    case "?":
      position += 1
      return (0, 1)
    case "{": position += 1
    default: return nil
    }
    skipSpace(acrossLines: false)
    guard let least = try count() else { throw failure("expected a number after '{'") }
    skipSpace(acrossLines: false)
    var most: Int? = least
    if peek == "," {
      position += 1
      skipSpace(acrossLines: false)
      most = try count()
      skipSpace(acrossLines: false)
    }
    guard peek == "}" else { throw failure("expected '}'") }
    position += 1
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

  // MARK: Words

  private var peek: Unicode.Scalar? { position < text.count ? text[position] : nil }

  private mutating func name() -> String? {
    var result = String.UnicodeScalarView()
    while let scalar = peek, Self.isInName(scalar) {
      result.append(scalar)
      position += 1
    }
    return result.isEmpty ? nil : String(result)
  }

  private static func isInName(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
    default: false
    }
  }

  private mutating func number(of name: String) -> Int {
    if let number = numbers[name] { return number }
    numbers[name] = names.count
    names.append(name)
    places.append(position)
    return names.count - 1
  }

  private mutating func skipSpace(acrossLines: Bool) {
    while let scalar = peek {
      if scalar == "#" {
        position += text[position...].prefix { $0 != "\n" && $0 != "\r" }.count
      } else if scalar == " " || scalar == "\t" || (acrossLines && (scalar == "\n" || scalar == "\r")) {
        position += 1
      } else {
        return
      }
    }
  }

  private func failure(_ reason: String) -> GrammarError {
    let column = text[..<position].reversed().prefix { $0 != "\n" }.count + 1
    return .syntax(line: line(of: position), column: column, reason: reason)
  }

  private func line(of position: Int) -> Int { text[..<position].reduce(1) { $1 == "\n" ? $0 + 1 : $0 } }
}
