import AngelCore

/// How JSON is written by answers: the expressions and rules that schemas share.
///
/// Between the parts of objects and arrays there may be one space, or one line end with at most 32 blanks, so that an answer
/// can be laid out but cannot go on with nothing for ever. Numbers have at most 16 digits before and after the point and an
/// exponent of two, so every one of them is a finite double.
struct JSONText {
  private(set) var grammar = Grammar(rules: [], root: 0)
  let character: Int
  let string: Int
  let number: Int
  let integer: Int
  let value: Int
  let object: Int
  /// A character beyond ASCII.
  let wide: Int
  /// Any number of characters that stand for themselves.
  let plain: Int

  /// A rule, and the first of them all: it stands at every comma and colon and has forty states.
  static let space = GrammarExpression.rule(0)
  private static let spaces = GrammarExpression.choice([
    .empty, .text(" "), .sequence([.text("\n"), .repeated(.oneOf(ByteSet(" \t".utf8)), min: 0, max: 32)]),
  ])

  init() {
    let space = grammar.add("space", Self.spaces)
    precondition(Self.space == .rule(space), "spaces are the first rule")
    character = grammar.add("character", Self.anyCharacter)
    string = grammar.add("string", Self.quoted(.repeated(.rule(character), min: 0, max: nil)))
    wide = grammar.add("wide", Self.plainCharacters.intersection(.beyondASCII).expression)
    plain = grammar.add(
      "plain",
      .repeated(
        .choice([Self.plainCharacters.intersection(.ascii).expression, .rule(wide)]), min: 0, max: nil))
    let digits = GrammarExpression.oneOf(ByteSet("0123456789".utf8))
    let whole = GrammarExpression.choice([
      .text("0"), .sequence([.oneOf(ByteSet("123456789".utf8)), .repeated(digits, min: 0, max: 15)]),
    ])
    let fraction = GrammarExpression.sequence([.text("."), .repeated(digits, min: 1, max: 16)])
    let exponent = GrammarExpression.sequence([
      .oneOf(ByteSet("eE".utf8)), .oneOf(ByteSet("+-".utf8)).optional, .repeated(digits, min: 1, max: 2),
    ])
    integer = grammar.add("integer", .sequence([.text("-").optional, whole]))
    number = grammar.add("number", .sequence([.text("-").optional, whole, fraction.optional, exponent.optional]))
    value = grammar.add("value", .empty)
    object = grammar.add(
      "object",
      Self.object([
        Self.list(.sequence([.rule(string), Self.colon, .rule(value)]), min: 0, max: nil)
      ]))
    let array = grammar.add("array", Self.array([Self.list(.rule(value), min: 0, max: nil)]))
    grammar.rules[value].body = .choice([
      .rule(object), .rule(array), .rule(string), .rule(number), .text("true"), .text("false"), .text("null"),
    ])
  }

  mutating func add(_ name: String, _ body: GrammarExpression) -> Int { grammar.add(name, body) }
  mutating func set(_ rule: Int, _ body: GrammarExpression) { grammar.rules[rule].body = body }
  mutating func setRoot(_ rule: Int) { grammar.root = rule }

  // MARK: Structure

  static let comma = GrammarExpression.sequence([.text(","), space])
  static let colon = GrammarExpression.sequence([.text(":"), space])

  static func object(_ parts: [GrammarExpression]) -> GrammarExpression {
    .sequence([.text("{"), space] + parts + [space, .text("}")])
  }

  static func array(_ parts: [GrammarExpression]) -> GrammarExpression {
    .sequence([.text("["), space] + parts + [space, .text("]")])
  }

  /// From `min` to `max` parts with commas between.
  static func list(_ part: GrammarExpression, min least: Int, max most: Int?) -> GrammarExpression {
    guard most != 0 else { return .empty }
    let rest = GrammarExpression.repeated(
      .sequence([comma, part]), min: max(0, least - 1), max: most.map { max(0, $0 - 1) })
    let all = GrammarExpression.sequence([part, rest])
    return least == 0 ? all.optional : all
  }

  /// A value as it is written, with the same freedom of space.
  static func literal(_ value: JSONValue) -> GrammarExpression {
    switch value {
    case .array(let values): array(separated(values.map(literal)))
    case .object(let object):
      Self.object(separated(object.members.map { .sequence([key($0.key), literal($0.value)]) }))
    case .null, .bool, .integer, .number, .string: .text(value.encoded())
    }
  }

  private static func separated(_ parts: [GrammarExpression]) -> [GrammarExpression] {
    parts.enumerated().flatMap { $0 == 0 ? [$1] : [comma, $1] }
  }

  /// An object's key and the colon.
  static func key(_ name: String) -> GrammarExpression { .sequence([.text(JSONValue.string(name).encoded()), colon]) }

  // MARK: Strings

  static func quoted(_ content: GrammarExpression) -> GrammarExpression {
    .sequence([.text("\""), content, .text("\"")])
  }

  /// Characters that stand for themselves in a string.
  static let plainCharacters = ScalarSet([0x20...0x21, 0x23...0x5B, 0x5D...0x10FFFF])

  /// One character of a string, escaped where it may be; surrogates in pairs only.
  private static let anyCharacter: GrammarExpression = {
    let hexadecimal = GrammarExpression.oneOf(ByteSet("0123456789abcdefABCDEF".utf8))
    func digits(_ first: String, _ second: GrammarExpression) -> GrammarExpression {
      .sequence([.oneOf(ByteSet(first.utf8)), second, hexadecimal, hexadecimal])
    }
    return .choice([
      plainCharacters.expression,
      .sequence([
        .text("\\"),
        .choice([
          .oneOf(ByteSet("\"\\/bfnrt".utf8)),
          .sequence([
            .text("u"),
            .choice([
              digits("0123456789abcefABCEF", hexadecimal), digits("dD", .oneOf(ByteSet("01234567".utf8))),
              .sequence([
                digits("dD", .oneOf(ByteSet("89abAB".utf8))), .text("\\u"),
                digits("dD", .oneOf(ByteSet("cdefCDEF".utf8))),
              ]),
            ]),
          ]),
        ]),
      ]),
    ])
  }()

  /// One character of a set, as a string writes it.
  static func spelling(of set: ScalarSet) -> GrammarExpression {
    var alternatives: [GrammarExpression] = []
    let plain = set.intersection(plainCharacters)
    if !plain.isEmpty { alternatives.append(plain.expression) }
    for value in Array(UInt32(0)..<0x20) + [0x22, 0x5C] where set.contains(value) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      alternatives.append(.text(String(JSONValue.string(String(scalar)).encoded().dropFirst().dropLast())))
    }
    return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
  }
}
