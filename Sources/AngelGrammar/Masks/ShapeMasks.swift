import Synchronization

/// What the upper part of a state decides about tokens, found once for all states that have it in common, whatever is below
/// on their stacks; as the adaptive token masks of XGrammar (arXiv:2411.15100, section 3.1).
///
/// The upper part is the places of a state. A token that matches without leaving them is allowed, one that dies before it could
/// leave is not; the few others depend on what is below and are looked at for each state again.
final class ShapeMasks: Sendable {
  /// What is known of the tokens in one shape.
  final class Shape: Sendable {
    let allowed: TokenMask
    /// The tokens that depend on more.
    let open: TokenTrie

    init(allowed: TokenMask, open: TokenTrie) {
      self.allowed = allowed
      self.open = open
    }
  }

  /// A shape's name.
  private struct Key: Hashable {
    let places: [Int32]
    /// Whether places stand for others, which are like them for `horizon` bytes only.
    let isMapped: Bool
  }

  private struct State {
    var states: ParseStates
    var shapes: [Key: Shape] = [:]
    var memory = 0
  }

  /// Shapes are forgotten when they take more bytes.
  private static let memoryLimit = 32 << 20
  private let vocabulary: TokenVocabulary
  private let state: Mutex<State>

  init(_ automaton: GrammarAutomaton, _ vocabulary: TokenVocabulary) {
    self.vocabulary = vocabulary
    state = Mutex(State(states: ParseStates(automaton)))
  }

  /// The shape of these places.
  func shape(_ places: [Int32], isMapped: Bool) throws(GrammarError) -> Shape {
    let key = Key(places: places, isMapped: isMapped)
    return try state.withLock { state throws(GrammarError) in
      if let shape = state.shapes[key] { return shape }
      if state.memory + state.states.memory > Self.memoryLimit {
        state = State(states: ParseStates(state.states.automaton))
      }
      guard let shape = make(key, &state.states) else {
        // Others with the same grammar are not to fail for it.
        state = State(states: ParseStates(state.states.automaton))
        throw .tooAmbiguous(limit: ParseStates.itemLimit)
      }
      state.shapes[key] = shape
      state.memory += 8 * shape.allowed.words.count + shape.open.memory
      return shape
    }
  }

  /// Nil where the grammar is beyond what is followed.
  private func make(_ key: Key, _ states: inout ParseStates) -> Shape? {
    states.beginWork()
    let start = states.abstractState(of: key.places)
    var allowed = TokenMask(count: vocabulary.count)
    var open: [Int32] = []
    let horizon = key.isMapped ? GrammarAutomaton.horizon : .max
    if start != ParseStates.dead {
      vocabulary.trie.walk(from: start, horizon: horizon, &states, allowed: &allowed, open: &open)
    }
    if states.isExceeded { return nil }
    return Shape(allowed: allowed, open: TokenTrie(open, of: vocabulary.spellings, sorted: true))
  }
}
