/// A context-free grammar over bytes, as data: named rules, of which one is what a whole text must be.
public struct Grammar: Equatable, Sendable {
  /// A named expression.
  public struct Rule: Equatable, Sendable {
    public var name: String
    public var body: GrammarExpression

    public init(name: String, body: GrammarExpression) {
      self.name = name
      self.body = body
    }
  }

  public var rules: [Rule]
  /// The position of the rule for whole texts.
  public var root: Int

  public init(rules: [Rule], root: Int) {
    self.rules = rules
    self.root = root
  }

  /// A grammar of one rule.
  public init(_ body: GrammarExpression) { self.init(rules: [Rule(name: "root", body: body)], root: 0) }

  /// Adds a rule and returns its position.
  public mutating func add(_ name: String, _ body: GrammarExpression) -> Int {
    rules.append(Rule(name: name, body: body))
    return rules.count - 1
  }
}

/// What a part of a text may be.
public indirect enum GrammarExpression: Equatable, Sendable {
  /// These bytes; none: the empty text.
  case bytes([UInt8])
  /// One byte of a set.
  case oneOf(ByteSet)
  /// What the rule at this position says.
  case rule(Int)
  case sequence([GrammarExpression])
  case choice([GrammarExpression])
  /// From `min` to `max` of these in a row; nil: any number.
  case repeated(GrammarExpression, min: Int, max: Int?)

  /// The empty text.
  public static let empty = GrammarExpression.bytes([])

  /// This text.
  public static func text(_ text: String) -> GrammarExpression { .bytes(Array(text.utf8)) }

  /// This or nothing.
  public var optional: GrammarExpression { .repeated(self, min: 0, max: 1) }

  /// Any number of these.
  public var anyNumber: GrammarExpression { .repeated(self, min: 0, max: nil) }
}
