/// A grammar for answers in the tokens of one vocabulary. Shared by any number of answers at once.
public final class TokenConstraint: Sendable {
  let automaton: GrammarAutomaton
  let vocabulary: TokenVocabulary
  let shapes: ShapeMasks

  /// Throws `GrammarError` where the grammar cannot be used.
  public init(_ grammar: Grammar, _ vocabulary: TokenVocabulary) throws(GrammarError) {
    automaton = try GrammarAutomaton(grammar)
    self.vocabulary = vocabulary
    shapes = ShapeMasks(automaton, vocabulary)
    var states = ParseStates(automaton)
    guard states.start() != ParseStates.dead else { throw .tooAmbiguous(limit: ParseStates.itemLimit) }
  }
}
