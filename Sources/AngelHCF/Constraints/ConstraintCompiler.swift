public import AngelGrammar
public import AngelText
import Synchronization

/// Makes constraints for the answers of one model, and keeps those that were asked for last: requests with the same schema
/// share one, and the masks that have been found for it. Any thread may ask.
public final class ConstraintCompiler: Sendable {
  private let tokenizer: Tokenizer
  private let endTokens: Set<Int32>
  private let state = Mutex(State())

  fileprivate struct State {
    /// Made when first asked for: the tokens of a large vocabulary take a moment to arrange.
    var vocabulary: TokenVocabulary?
    var known: [Key: TokenConstraint] = [:]
    /// The keys, those asked for last at the end.
    var order: [Key] = []
  }

  /// What a constraint is known by.
  fileprivate struct Key: Hashable {
    let format: OutputFormat
    let wrapping: String
  }

  /// Constraints that are kept.
  fileprivate static let limit = 32

  /// - Parameter endTokens: the tokens that end an answer.
  public init(_ tokenizer: Tokenizer, endTokens: Set<Int32>) {
    self.tokenizer = tokenizer
    self.endTokens = endTokens
  }

  /// The constraint of a format.
  ///
  /// - Parameters:
  ///   - wrapping: tells apart different uses of `wrap`.
  ///   - wrap: makes the grammar of the format part of a larger one; it is called only where the constraint is not known yet.
  /// - Throws: `GrammarError` naming what is wrong with the format, `TokenizerError`.
  public func constraint(
    for format: OutputFormat, wrapping: String = "", _ wrap: (Grammar) throws -> Grammar = { $0 }
  ) throws -> TokenConstraint {
    let key = Key(format: format, wrapping: wrapping)
    if let constraint = state.withLock({ $0.find(key) }) { return constraint }
    // Made outside the lock: others need not wait for a large grammar.
    let constraint = try TokenConstraint(wrap(try format.makeGrammar()), vocabulary())
    state.withLock { $0.keep(constraint, key) }
    return constraint
  }

  private func vocabulary() throws -> TokenVocabulary {
    try state.withLock { state in
      if let vocabulary = state.vocabulary { return vocabulary }
      let spellings = try tokenizer.answerSpellings()
      let vocabulary = TokenVocabulary(spellings.later, firstSpellings: spellings.first, endTokens: endTokens)
      state.vocabulary = vocabulary
      return vocabulary
    }
  }
}

extension ConstraintCompiler.State {
  fileprivate mutating func find(_ key: ConstraintCompiler.Key) -> TokenConstraint? {
    guard let constraint = known[key] else { return nil }
    order.removeAll { $0 == key }
    order.append(key)
    return constraint
  }

  fileprivate mutating func keep(_ constraint: TokenConstraint, _ key: ConstraintCompiler.Key) {
    if known.updateValue(constraint, forKey: key) != nil { order.removeAll { $0 == key } }
    order.append(key)
    if order.count > ConstraintCompiler.limit { known[order.removeFirst()] = nil }
  }
}
