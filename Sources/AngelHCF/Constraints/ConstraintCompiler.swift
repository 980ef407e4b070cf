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
    var order: [Kept] = []
    /// Bytes of all of them.
    var byteCount = 0
  }

  fileprivate struct Kept {
    let format: OutputFormat
    let byteCount: Int
  }

  /// Constraints that are kept, and what their formats may take together: parsed, they are ten times as large.
  fileprivate static let limit = 32
  fileprivate static let byteLimit = 4 << 20

  /// - Parameter endTokens: the tokens that end an answer.
  public init(_ tokenizer: Tokenizer, endTokens: Set<Int32>) {
    self.tokenizer = tokenizer
    self.endTokens = endTokens
  }

  /// The constraint of a format. Throws `GrammarError` naming what is wrong with it, and `TokenizerError`.
  public func constraint(for format: OutputFormat) throws -> TokenConstraint {
    if let constraint = state.withLock({ $0.find(format) }) { return constraint }
    let byteCount = format.byteCount
    guard byteCount <= OutputFormat.byteLimit else {
      throw GrammarError.tooLong(byteCount: byteCount, limit: OutputFormat.byteLimit)
    }
    // Made outside the lock: others need not wait for a large grammar.
    let constraint = try TokenConstraint(format.makeGrammar(), vocabulary())
    return state.withLock { state in
      // Somebody else may have made it meanwhile: masks are to be shared.
      if let known = state.find(format) { return known }
      state.keep(constraint, Kept(format: format, byteCount: byteCount))
      return constraint
    }
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
    if let place = order.firstIndex(where: { $0.format == format }) { order.append(order.remove(at: place)) }
    return constraint
  }

  /// Keeps a constraint that is not known yet.
  fileprivate mutating func keep(_ constraint: TokenConstraint, _ kept: ConstraintCompiler.Kept) {
    known[kept.format] = constraint
    order.append(kept)
    byteCount += kept.byteCount
    while order.count > ConstraintCompiler.limit || byteCount > ConstraintCompiler.byteLimit {
      let oldest = order.removeFirst()
      known[oldest.format] = nil
      byteCount -= oldest.byteCount
    }
  }
}
