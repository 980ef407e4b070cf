/// Reads grammars in GBNF, the notation of llama.cpp: `root ::= "yes" | "no"`.
///
/// Rules, alternatives, sequences, groups, literals with escapes, character classes, `.`, and the repetitions `*`, `+`, `?`,
/// `{n}`, `{n,}` and `{n,m}`; comments from `#`. Tokens (`<…>`) are refused. A rule may not begin with itself.
struct GBNFParser {
  private var reader: ScalarReader
  /// Rules by name, in the order in which they are first named.
  private var numbers: [String: Int] = [:]
  private var names: [String] = []
  private var bodies: [Int: GrammarExpression] = [:]
  /// Where each rule is first named.
  private var places: [Int] = []

  private static let longestText = 1 << 20
  private static let deepestGroup = 100
  private static let mostSigns = 8

  private init(_ text: String) { reader = ScalarReader(text) }

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
    while !reader.isAtEnd { try rule() }
    guard let root = numbers["root"], bodies[root] != nil else { throw failure("there is no rule 'root'") }
    var rules: [Grammar.Rule] = []
    for (number, name) in names.enumerated() {
      guard let body = bodies[number] else { throw .undefinedRule(name: name, line: line(of: places[number])) }
      rules.append(Grammar.Rule(name: name, body: body))
    }
    return Grammar(rules: rules, root: root)
  }

  private mutating func rule() throws(GrammarError) {
    let start = reader.position
    guard let name = name() else { throw failure("expected the name of a rule") }
    skipSpace(acrossLines: false)
    for mark in "::=".unicodeScalars {
      guard peek == mark else { throw failure("expected '::=' after '\(name)'") }
      reader.position += 1
    }
    skipSpace(acrossLines: true)
    let number = number(of: name)
    let body = try alternatives(depth: 0)
    guard bodies[number] == nil else {
      reader.position = start
      throw failure("rule '\(name)' is defined twice")
    }
    bodies[number] = body
    if !reader.isAtEnd, peek != "\n", peek != "\r" { throw failure("expected the end of rule '\(name)'") }
    skipSpace(acrossLines: true)
  }

  private mutating func alternatives(depth: Int) throws(GrammarError) -> GrammarExpression {
    guard depth <= Self.deepestGroup else { throw failure("groups are nested deeper than \(Self.deepestGroup)") }
    var result = [try sequence(depth: depth)]
    while peek == "|" {
      reader.position += 1
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
      var signs = 0
      while let bounds = try repetition() {
        signs += 1
        guard signs <= Self.mostSigns else { throw failure("more than \(Self.mostSigns) repetitions of a repetition") }
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
      reader.position += 1
      var literal = String.UnicodeScalarView()
      while peek != "\"" { literal.append(try character(of: "a text in quotes")) }
      reader.position += 1
      return .text(String(literal))
    case "[":
      reader.position += 1
      return try characterClass().expression
    case ".":
      reader.position += 1
      return ScalarSet.all.expression
    case "(":
      reader.position += 1
      skipSpace(acrossLines: true)
      let inner = try alternatives(depth: depth + 1)
      guard peek == ")" else { throw failure("expected ')'") }
      reader.position += 1
      return inner
    case "<", "!": throw failure("tokens ('<…>') are not supported: write the text of the token in quotes")
    default:
      guard let name = name() else { throw failure("unexpected '\(next)'") }
      return .rule(number(of: name))
    }
  }

  private mutating func characterClass() throws(GrammarError) -> ScalarSet {
    var ranges: [ClosedRange<UInt32>] = []
    let isInverted = reader.take("^")
    while peek != "]" {
      let first = try character(of: "a class in brackets").value
      var last = first
      if peek == "-", reader.position + 1 < reader.text.count, reader.text[reader.position + 1] != "]" {
        reader.position += 1
        last = try character(of: "a class in brackets").value
        guard first <= last else { throw failure("the range ends before it begins") }
      }
      ranges.append(first...last)
    }
    reader.position += 1
    let set = ScalarSet(ranges)
    let result = isInverted ? set.inverted : set
    guard !result.isEmpty else { throw failure("the class has no characters") }
    return result
  }

  /// A character, or what a backslash and the next ones mean.
  private mutating func character(of whole: String) throws(GrammarError) -> Unicode.Scalar {
    guard let first = peek else { throw failure("the grammar ends inside \(whole)") }
    reader.position += 1
    guard first == "\\" else { return first }
    guard let escaped = peek else { throw failure("the grammar ends inside \(whole)") }
    reader.position += 1
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
    guard let value = reader.hexadecimal(digits: digits) else {
      throw failure("expected \(digits) hexadecimal digits")
    }
    guard let scalar = Unicode.Scalar(value) else { throw failure("there is no character \(value)") }
    return scalar
  }

  private mutating func repetition() throws(GrammarError) -> (least: Int, most: Int?)? {
    switch peek {
    case "*":
      reader.position += 1
      return (0, nil)
    case "+":
      reader.position += 1
      return (1, nil)
    case "?":
      reader.position += 1
      return (0, 1)
    case "{": reader.position += 1
    default: return nil
    }
    skipSpace(acrossLines: false)
    guard let least = try reader.count() else { throw failure("expected a number after '{'") }
    skipSpace(acrossLines: false)
    var most: Int? = least
    if peek == "," {
      reader.position += 1
      skipSpace(acrossLines: false)
      most = try reader.count()
      skipSpace(acrossLines: false)
    }
    guard peek == "}" else { throw failure("expected '}'") }
    reader.position += 1
    if let most, most < least { throw failure("at least \(least) and at most \(most) cannot be") }
    return (least, most)
  }

  // MARK: Words

  private var peek: Unicode.Scalar? { reader.peek }

  private mutating func name() -> String? {
    var result = String.UnicodeScalarView()
    while let scalar = peek, Self.isInName(scalar) {
      result.append(scalar)
      reader.position += 1
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
    places.append(reader.position)
    return names.count - 1
  }

  private mutating func skipSpace(acrossLines: Bool) {
    while let scalar = peek {
      if scalar == "#" {
        reader.position += reader.text[reader.position...].prefix { $0 != "\n" && $0 != "\r" }.count
      } else if scalar == " " || scalar == "\t" || (acrossLines && (scalar == "\n" || scalar == "\r")) {
        reader.position += 1
      } else {
        return
      }
    }
  }

  private func failure(_ reason: String) -> GrammarError {
    let column = reader.text[..<reader.position].reversed().prefix { $0 != "\n" }.count + 1
    return .syntax(line: line(of: reader.position), column: column, reason: reason)
  }

  private func line(of position: Int) -> Int { reader.text[..<position].reduce(1) { $1 == "\n" ? $0 + 1 : $0 } }
}
