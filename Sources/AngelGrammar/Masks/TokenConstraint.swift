import Synchronization

/// A grammar for answers in the tokens of one vocabulary. Shared by any number of answers at once.
public final class TokenConstraint: Sendable {
  let automaton: GrammarAutomaton
  let vocabulary: TokenVocabulary
  let shapes: ShapeMasks
  /// The tables of the answer that found out most, with which the next ones begin.
  private let tables: Mutex<MatcherTables>

  /// Throws `GrammarError` where the grammar cannot be used.
  public init(_ grammar: Grammar, _ vocabulary: TokenVocabulary) throws(GrammarError) {
    automaton = try GrammarAutomaton(grammar)
    self.vocabulary = vocabulary
    shapes = ShapeMasks(automaton, vocabulary)
    var empty = MatcherTables(automaton)
    guard empty.states.start() != ParseStates.dead else { throw .tooAmbiguous(limit: ParseStates.itemLimit) }
    tables = Mutex(empty)
  }

  /// Tables for a new answer.
  func takeTables() -> MatcherTables { tables.withLock { $0 } }

  /// Tables of more bytes are not handed on: every answer copies them.
  private static let memoryLimit = 1 << 20

  /// Hands over the tables of an answer that has ended.
  func leave(_ used: MatcherTables) {
    guard used.states.memory <= Self.memoryLimit, !used.states.isExceeded else { return }
    tables.withLock { tables in
      if used.states.memory > tables.states.memory { tables = used }
    }
  }
}
