import AngelCore

/// A grammar as one nondeterministic pushdown automaton over bytes: states of all rules in one list, with four kinds of
/// steps (Thompson's construction, CACM 1968, with calls between rules as in recursive transition networks).
///
/// Immutable; what a text has matched so far is a set of states with stacks (`ParseStates`).
public final class GrammarAutomaton: Sendable {
  /// What a state does.
  enum Step: Equatable, Sendable {
    /// Goes on at one or two states at once, without a byte.
    case split(Int32, Int32?)
    /// Takes a byte of the set, then goes on.
    case take(set: Int32, next: Int32)
    /// Takes what a rule takes, then goes on.
    case call(rule: Int32, next: Int32)
    /// The rule ends.
    case end
  }

  /// The most states of a grammar.
  public static let stateLimit = 1 << 18
  /// Tokens of more bytes see where a counted repetition ends from further away than states that stand for others do.
  static let horizon = 24

  let steps: [Step]
  let sets: [ByteSet]
  let rules: [Rule]
  let root: Int
  /// For each state another one, perhaps itself, from which the next `horizon` bytes are allowed or refused alike: a copy of
  /// what is repeated that is nearer to the end of the repetition.
  let representatives: [Int32]
  /// The end of a rule; one is like another.
  let end: Int32
  /// The states from which the end of their rule can be reached.
  let isFinishing: [Bool]
  /// The states that go on at the end of their rule and nowhere else.
  let isTail: [Bool]
  /// Bytes that every set has or lacks together are one class; 0x20 is one of its own.
  let classes: ByteClasses

  /// What is known of a rule.
  struct Rule: Sendable {
    let name: String
    let start: Int32
    var isNullable = false
    /// What takes bytes, and what calls rules, at the rule's beginning.
    var firstTakes: [Int32] = []
    var firstCalls: [Int32] = []
    /// Rules that call others at their beginning have smaller numbers.
    var rank = 0
  }

  /// Throws `GrammarError` where the grammar is too large, begins with itself or has no end.
  public init(_ grammar: Grammar) throws(GrammarError) {
    var builder = AutomatonBuilder()
    try builder.add(grammar)
    var rules = zip(grammar.rules, builder.starts).map { Rule(name: $0.name, start: $1) }
    let analysis = AutomatonAnalysis(steps: builder.steps)
    isFinishing = try analysis.complete(&rules)
    end = Int32(builder.steps.firstIndex(of: .end) ?? 0)
    isTail = analysis.tails()
    steps = builder.steps
    sets = builder.sets
    representatives = builder.representatives
    classes = ByteClasses(builder.sets)
    self.rules = rules
    root = grammar.root
  }
}

/// The bytes by what tells them apart in an automaton.
struct ByteClasses: Sendable {
  private(set) var classOfByte = [UInt8](repeating: 0, count: 256)
  /// A byte of each class.
  private(set) var samples: [UInt8] = []
  var count: Int { samples.count }

  init(_ sets: [ByteSet]) {
    // Refined set by set: two bytes stay together while each set has both or neither.
    var groups = [Int](repeating: 0, count: 256)
    for set in sets + [ByteSet([0x20])] {
      var known: [Int: Int] = [:]
      for byte in 0..<256 {
        let key = groups[byte] << 1 | (set.contains(UInt8(byte)) ? 1 : 0)
        groups[byte] = known[key] ?? known.count
        known[key] = groups[byte]
      }
    }
    for byte in 0..<256 {
      if groups[byte] == samples.count { samples.append(UInt8(byte)) }
      classOfByte[byte] = UInt8(groups[byte])
    }
  }
}
