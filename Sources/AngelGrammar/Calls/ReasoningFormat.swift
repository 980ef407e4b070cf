/// Thoughts that may come before an answer.
public struct ReasoningFormat: Hashable, Sendable {
  /// What stands before and after them.
  public var opener: String
  public var closer: String
  /// Whether the prompt ends with the opener, so that an answer begins with thoughts.
  public var hasBegun: Bool

  public init(opener: String, closer: String, hasBegun: Bool) {
    self.opener = opener
    self.closer = closer
    self.hasBegun = hasBegun
  }

  /// A grammar for thoughts followed by what `answer` says; without them too, unless they have begun.
  func before(_ answer: Grammar) -> Grammar {
    var grammar = answer
    let lineEnds = GrammarExpression.repeated(.text("\n"), min: 0, max: 4)
    let thoughts = FreeText(upTo: closer).addRules(
      to: &grammar, followedBy: .sequence([lineEnds, .rule(answer.root)]), mayEnd: false)
    guard !hasBegun else {
      grammar.root = thoughts
      return grammar
    }
    grammar.root = grammar.add(
      "answer", .choice([.rule(answer.root), .sequence([lineEnds, .text(opener), .rule(thoughts)])]))
    return grammar
  }
}
