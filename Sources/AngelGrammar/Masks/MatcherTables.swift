/// What a matcher has found out on its way: states with their steps, and masks of states.
struct MatcherTables: Sendable {
  var states: ParseStates
  /// In the middle of a text the same state comes again and again.
  private(set) var masks: [Int32: TokenMask] = [:]

  /// Tables are made anew when their states take more bytes, masks are forgotten when they do.
  private static let stateMemory = 8 << 20
  private static let maskMemory = 1 << 20

  init(_ automaton: GrammarAutomaton) { states = ParseStates(automaton) }

  mutating func keep(_ mask: TokenMask, for state: Int32) {
    if (masks.count + 1) * 8 * mask.words.count > Self.maskMemory { masks.removeAll(keepingCapacity: true) }
    masks[state] = mask
  }

  /// Makes the tables anew when they have grown large; `state` is then the one state that is kept.
  mutating func forgetIfLarge(keeping state: inout Int32) {
    guard states.memory > Self.stateMemory else { return }
    masks = [:]
    (states, state) = states.keeping(state)
  }
}
