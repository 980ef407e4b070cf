/// Follows one answer through a grammar, and says which tokens may come next.
public struct TokenMatcher: Sendable {
  private let constraint: TokenConstraint
  private var tables: MatcherTables
  private var state: Int32
  private var isAtStart = true
  /// Whether an end token has been taken.
  public private(set) var hasEnded = false

  /// At the beginning of an answer.
  public init(_ constraint: TokenConstraint) {
    self.constraint = constraint
    tables = constraint.takeTables()
    state = tables.states.start()
  }

  /// Whether the answer may end here.
  public var canEnd: Bool { hasEnded || tables.states.canEnd(state) }

  /// Whether the answer must end here.
  public var isComplete: Bool { hasEnded || tables.states.isComplete(state) }

  /// The tokens that may come next, the end tokens where the answer may end.
  public mutating func mask() throws(GrammarError) -> TokenMask {
    if hasEnded { return TokenMask(count: constraint.vocabulary.count) }
    tables.states.beginWork()
    // The first token may be spelt otherwise than the same token later.
    if isAtStart, let trie = constraint.vocabulary.firstTrie {
      var mask = TokenMask(count: constraint.vocabulary.count)
      trie.walk(from: state, &tables.states, allowed: &mask)
      return try finished(mask)
    }
    tables.forgetIfLarge(keeping: &state)
    if let mask = tables.masks[state] { return mask }
    let (places, isMapped) = tables.states.shape(of: state)
    let shape = try constraint.shapes.shape(places, isMapped: isMapped)
    var mask = shape.allowed
    shape.open.walk(from: state, &tables.states, allowed: &mask)
    mask = try finished(mask)
    tables.keep(mask, for: state)
    return mask
  }

  private func finished(_ mask: TokenMask) throws(GrammarError) -> TokenMask {
    if tables.states.isExceeded { throw .tooAmbiguous(limit: ParseStates.itemLimit) }
    guard tables.states.canEnd(state) else { return mask }
    var mask = mask
    for token in constraint.vocabulary.endTokens { mask.allow(Int(token)) }
    return mask
  }

  /// Takes the next token of the answer. Throws `GrammarError.refusedToken` where it may not come.
  public mutating func accept(_ token: Int32) throws(GrammarError) {
    let vocabulary = constraint.vocabulary
    guard !hasEnded, token >= 0, Int(token) < vocabulary.count else { throw .refusedToken(token) }
    if vocabulary.endTokens.contains(token) {
      guard tables.states.canEnd(state) else { throw .refusedToken(token) }
      hasEnded = true
    } else {
      let spellings = isAtStart ? vocabulary.firstSpellings ?? vocabulary.spellings : vocabulary.spellings
      let text = spellings[Int(token)]
      guard !text.isEmpty, accept(text) else {
        throw tables.states.isExceeded ? .tooAmbiguous(limit: ParseStates.itemLimit) : .refusedToken(token)
      }
    }
    if isComplete { constraint.leave(tables) }
  }

  /// Takes further bytes of the answer; false, with nothing taken, where they may not come.
  public mutating func accept(_ bytes: some Sequence<UInt8>) -> Bool {
    var place = state
    for byte in bytes {
      place = tables.states.next(place, byte)
      if place == ParseStates.dead { return false }
    }
    state = place
    isAtStart = false
    return true
  }
}
