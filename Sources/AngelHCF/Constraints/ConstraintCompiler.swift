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
    var known: [OutputFormat: TokenConstraint] = [:]
    /// Their formats, those asked for last at the end.
    var order: [OutputFormat] = []
  }

  /// Constraints that are kept.
  fileprivate static let limit = 32

  /// - Parameter endTokens: the tokens that end an answer.
  public init(_ tokenizer: Tokenizer, endTokens: Set<Int32>) {
    self.tokenizer = tokenizer
    self.endTokens = endTokens
  }

  /// The constraint of a format. Throws `GrammarError` naming what is wrong with it, and `TokenizerError`.
  public func constraint(for format: OutputFormat) throws -> TokenConstraint {
    if let constraint = state.withLock({ $0.find(format) }) { return constraint }
    // Made outside the lock: others need not wait for a large grammar.
    let constraint = try TokenConstraint(format.makeGrammar(), vocabulary())
    state.withLock { $0.keep(constraint, format) }
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
  fileprivate mutating func find(_ format: OutputFormat) -> TokenConstraint? {
    guard let constraint = known[format] else { return nil }
    order.removeAll { $0 == format }
    order.append(format)
    return constraint
  }

  fileprivate mutating func keep(_ constraint: TokenConstraint, _ format: OutputFormat) {
    if known.updateValue(constraint, forKey: format) != nil { order.removeAll { $0 == format } }
    order.append(format)
    if order.count > ConstraintCompiler.limit { known[order.removeFirst()] = nil }
  }
}
