/// Follows one answer through a grammar, and says which tokens may come next.
public struct TokenMatcher: Sendable {
  private let constraint: TokenConstraint
  private var states: ParseStates
  private var state: Int32
  private var isAtStart = true
  /// The masks of states that came before: in the middle of a text the same one comes again and again.
  private var known: [Int32: TokenMask] = [:]
  /// Whether an end token has been taken.
  public private(set) var hasEnded = false

  private static let memoryLimit = 8 << 20
  private static let knownLimit = 32

  /// At the beginning of an answer.
  public init(_ constraint: TokenConstraint) {
    self.constraint = constraint
    states = ParseStates(constraint.automaton)
    state = states.start()
  }

  /// Whether the answer may end here.
  public var canEnd: Bool { hasEnded || states.canEnd(state) }

  /// Whether the answer must end here.
  public var isComplete: Bool { hasEnded || states.isComplete(state) }

  /// The tokens that may come next, the end tokens where the answer may end.
  public mutating func mask() throws(GrammarError) -> TokenMask {
    if hasEnded { return TokenMask(count: constraint.vocabulary.count) }
    forgetIfLarge()
    if let mask = known[state] { return mask }
    var mask = try maskOfTexts()
    if states.isExceeded { throw .tooAmbiguous(limit: ParseStates.itemLimit) }
    if states.canEnd(state) { for token in constraint.vocabulary.endTokens { mask.allow(Int(token)) } }
    if known.count >= Self.knownLimit { known.removeAll(keepingCapacity: true) }
    known[state] = mask
    return mask
  }

  private mutating func maskOfTexts() throws(GrammarError) -> TokenMask {
    if isAtStart, let trie = constraint.vocabulary.firstTrie {
      var mask = TokenMask(count: constraint.vocabulary.count)
      trie.walk(from: state, &states, allowed: &mask)
      return mask
    }
    let (places, isMapped) = states.shape(of: state)
    let shape = try constraint.shapes.shape(places, isMapped: isMapped)
    var mask = shape.allowed
    shape.open.walk(from: state, &states, allowed: &mask)
    return mask
  }

  /// Takes the next token of the answer. Throws `GrammarError.refusedToken` where it may not come.
  public mutating func accept(_ token: Int32) throws(GrammarError) {
    let vocabulary = constraint.vocabulary
    guard !hasEnded, token >= 0, Int(token) < vocabulary.count else { throw .refusedToken(token) }
    if vocabulary.endTokens.contains(token) {
      guard states.canEnd(state) else { throw .refusedToken(token) }
      return hasEnded = true
    }
    let spellings = isAtStart ? vocabulary.firstSpellings ?? vocabulary.spellings : vocabulary.spellings
    let text = spellings[Int(token)]
    guard !text.isEmpty, accept(text) else {
      throw states.isExceeded ? .tooAmbiguous(limit: ParseStates.itemLimit) : .refusedToken(token)
    }
  }

  /// Takes further bytes of the answer; false, with nothing taken, where they may not come.
  public mutating func accept(_ bytes: some Sequence<UInt8>) -> Bool {
    var place = state
    for byte in bytes {
      place = states.next(place, byte)
      if place == ParseStates.dead { return false }
    }
    // The first mask may be of other spellings than those of the same state further on.
    if isAtStart { known.removeAll() }
    state = place
    isAtStart = false
    return true
  }

  /// Makes the tables anew when they have grown large.
  private mutating func forgetIfLarge() {
    guard states.memory > Self.memoryLimit else { return }
    known.removeAll()
    (states, state) = states.keeping(state)
  }
}
