/// Writes a grammar's expressions down as states.
struct AutomatonBuilder {
  private(set) var steps: [GrammarAutomaton.Step] = []
  private(set) var sets: [ByteSet] = []
  private(set) var representatives: [Int32] = []
  /// Where each rule begins.
  private(set) var starts: [Int32] = []
  private var setIndex: [ByteSet: Int32] = [:]
  /// The rules that the empty text may fulfil.
  private var isNullable: [Bool] = []

  mutating func add(_ grammar: Grammar) throws(GrammarError) {
    isNullable = grammar.perhapsNullableRules()
    for rule in grammar.rules {
      let end = try append(.end)
      starts.append(try emit(rule.body, next: end))
    }
  }

  private mutating func append(_ step: GrammarAutomaton.Step) throws(GrammarError) -> Int32 {
    guard steps.count < GrammarAutomaton.stateLimit else { throw .tooLarge(limit: GrammarAutomaton.stateLimit) }
    steps.append(step)
    representatives.append(Int32(steps.count - 1))
    return Int32(steps.count - 1)
  }

  private mutating func take(_ set: ByteSet, next: Int32) throws(GrammarError) -> Int32 {
    let index = setIndex[set] ?? Int32(sets.count)
    if setIndex[set] == nil {
      setIndex[set] = index
      sets.append(set)
    }
    return try append(.take(set: index, next: next))
  }

  /// The state at which an expression begins that goes on at `next`.
  private mutating func emit(_ expression: GrammarExpression, next: Int32) throws(GrammarError) -> Int32 {
    switch expression {
    case .bytes(let bytes):
      var place = next
      for byte in bytes.reversed() { place = try take(ByteSet(CollectionOfOne(byte)), next: place) }
      return place
    case .oneOf(let set): return try take(set, next: next)
    case .rule(let rule): return try append(.call(rule: Int32(rule), next: next))
    case .sequence(let parts):
      var place = next
      for part in parts.reversed() { place = try emit(part, next: place) }
      return place
    case .choice(let alternatives):
      guard var place = try alternatives.last.map({ (last) throws(GrammarError) in try emit(last, next: next) }) else {
        // No alternative: nothing matches.
        return try take(ByteSet(), next: next)
      }
      for alternative in alternatives.dropLast().reversed() {
        place = try append(.split(try emit(alternative, next: next), place))
      }
      return place
    case .repeated(let part, let least, let most): return try emit(part, from: least, to: most, next: next)
    }
  }

  /// Copies of a part, the last written first; those beyond the least may be left out. Each begins with a state of its own, so
  /// that equal places in two copies are equally far apart.
  private mutating func emit(
    _ part: GrammarExpression, from least: Int, to most: Int?, next: Int32
  ) throws(GrammarError) -> Int32 {
    let limit = GrammarAutomaton.stateLimit
    guard least < limit, most ?? 0 < limit else { throw .tooLarge(limit: limit) }
    var place = next
    if most == nil {
      let loop = try append(.split(next, nil))
      let inner = try emit(part, next: loop)
      steps[Int(loop)] = .split(inner, next)
      place = loop
    }
    let first = steps.count
    var stride = 0
    // The last copy is number 0.
    let optionals = max(0, (most ?? least) - least)
    for copy in 0..<(optionals + least) {
      let inner = try emit(part, next: place)
      place = try append(.split(inner, copy < optionals ? next : nil))
      if copy == 0 { stride = steps.count - first }
    }
    // A copy that takes no byte may be passed at once, however many there are.
    if !part.isNullable(isNullable) { relate(from: first, stride: stride, optionals: optionals, least: least) }
    return place
  }

  /// Lets copies that are far from the end of their repetition be represented by nearer ones.
  private mutating func relate(from first: Int, stride: Int, optionals: Int, least: Int) {
    let near = GrammarAutomaton.horizon + 2
    func shift(_ count: Int, from copy: Int) {
      for place in (first + copy * stride)..<(first + (copy + 1) * stride) {
        representatives[place] -= Int32(count * stride)
      }
    }
    // Copies below are nearer to the end: fewer are left.
    for copy in 0..<optionals where copy > near { shift(copy - near, from: copy) }
    for copy in 0..<least where copy > near { shift(copy - near, from: optionals + copy) }
  }
}
