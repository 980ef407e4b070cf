/// The states of texts matched so far, each made once and numbered, and the steps between them by bytes.
///
/// A state is a set of places in rules, each with a stack of places to return to. Stacks share what they have in common: a
/// stack is the number of a set of places, each with the stack below it (a graph-structured stack, Tomita 1985). Rules that
/// are called at one point of the text by several places are entered once, with the set of those; a call at the end of a rule
/// leaves nothing on the stack. So a state has no more places than the grammar has states, times the calls that are open.
struct ParseStates: Sendable {
  /// A place in a rule and the stack below it, in one number.
  struct Item: Hashable, Comparable, Sendable {
    let bits: UInt64
    var place: Int32 { Int32(truncatingIfNeeded: bits >> 32) }
    var stack: Int32 { Int32(truncatingIfNeeded: bits) }
    init(_ place: Int32, _ stack: Int32) { bits = UInt64(UInt32(place)) << 32 | UInt64(UInt32(stack)) }
    static func < (a: Item, b: Item) -> Bool { a.bits < b.bits }
  }

  /// What is known of a state.
  private struct Entry: Sendable {
    /// Places that take a byte or call a rule.
    var items: [Item]
    /// Places that take a byte, at the beginning of called rules too; empty while `isOpened` is false.
    var takes: [Item] = []
    var isOpened = false
    /// Whether the text may end here.
    var canEnd: Bool
    /// Whether more may follow than is known: what the unknown stack allows.
    var leavesKnown: Bool
  }

  /// No more than this in one state, and no more looked at for one mask.
  static let itemLimit = 1 << 14
  static let workLimit = 1 << 21
  /// The state from which nothing is allowed.
  static let dead: Int32 = -1
  private static let unknown: Int32 = -2
  /// The stack below the root rule, and one of which nothing is known.
  static let bottom: Int32 = 0
  static let anything: Int32 = 1

  let automaton: GrammarAutomaton
  private let classCount: Int
  private var entries: [Entry] = []
  private var numbers: [[Item]: [Int32]] = [:]
  private var stacks: [[Item]] = [[], []]
  private var stackNumbers: [[Item]: Int32] = [:]
  /// The state after each class of bytes, state by state.
  private var steps: [Int32] = []
  /// Whether a state was beyond one of the limits; it counts as dead.
  private(set) var isExceeded = false
  /// Places looked at since work began.
  private var work = 0
  private var byteCount = 0

  init(_ automaton: GrammarAutomaton) {
    self.automaton = automaton
    classCount = automaton.classes.count
  }

  /// About how many bytes all of it takes.
  var memory: Int { byteCount + 4 * steps.count }

  /// Begins to count the work for another mask.
  mutating func beginWork() { work = 0 }

  // MARK: Asking

  /// The state before the first byte.
  mutating func start() -> Int32 { state(of: [Item(automaton.rules[automaton.root].start, Self.bottom)]) }

  /// A state of these places over stacks of which nothing is known.
  mutating func abstractState(of places: [Int32]) -> Int32 { state(of: places.map { Item($0, Self.anything) }) }

  func canEnd(_ state: Int32) -> Bool { state != Self.dead && entries[Int(state)].canEnd }

  func leavesKnown(_ state: Int32) -> Bool { entries[Int(state)].leavesKnown }

  /// Whether the text may end here and not go on.
  func isComplete(_ state: Int32) -> Bool { canEnd(state) && entries[Int(state)].items.isEmpty }

  /// The places of a state by their representatives, each once, and whether any stands for another.
  func shape(of state: Int32) -> (places: [Int32], isMapped: Bool) {
    var isMapped = false
    var places: [Int32] = []
    for item in entries[Int(state)].items {
      let place = automaton.representatives[Int(item.place)]
      if place != item.place { isMapped = true }
      places.append(place)
    }
    places.sort()
    var last: Int32 = -1
    places.removeAll { place in
      defer { last = place }
      return place == last
    }
    return (places, isMapped)
  }

  /// The state after one more byte, or `dead`.
  @inline(__always)
  mutating func next(_ state: Int32, _ byte: UInt8) -> Int32 {
    let slot = Int(state) * classCount + Int(automaton.classes.classOfByte[Int(byte)])
    let known = steps[slot]
    return known == Self.unknown ? makeStep(state, byte, slot) : known
  }

  // MARK: Making

  private mutating func makeStep(_ state: Int32, _ byte: UInt8, _ slot: Int) -> Int32 {
    open(Int(state))
    work += entries[Int(state)].takes.count
    var after: [Item] = []
    for item in entries[Int(state)].takes {
      guard case .take(let set, let next) = automaton.steps[Int(item.place)] else { continue }
      if automaton.sets[Int(set)].contains(byte) { after.append(Item(next, item.stack)) }
    }
    let result = after.isEmpty ? Self.dead : self.state(of: after)
    steps[slot] = result
    return result
  }

  /// The state of places that may be anywhere in their rules: goes on to those that take bytes or call.
  private mutating func state(of beginnings: [Item]) -> Int32 {
    var (items, seen): ([Item], Set<Item>) = ([], [])
    var (canEnd, leavesKnown) = (false, false)
    var pending = beginnings
    while let item = pending.popLast() {
      guard automaton.isFinishing[Int(item.place)], seen.insert(item).inserted else { continue }
      switch automaton.steps[Int(item.place)] {
      case .split(let first, let second):
        pending.append(Item(first, item.stack))
        if let second { pending.append(Item(second, item.stack)) }
      case .take: items.append(item)
      case .call(let rule, let next):
        items.append(item)
        if automaton.rules[Int(rule)].isNullable { pending.append(Item(next, item.stack)) }
      case .end:
        switch item.stack {
        case Self.bottom: canEnd = true
        case Self.anything: leavesKnown = true
        default: pending += stacks[Int(item.stack)]
        }
      }
      work += 1
      guard seen.count <= Self.itemLimit, work <= Self.workLimit else {
        isExceeded = true
        return Self.dead
      }
    }
    guard !items.isEmpty || canEnd || leavesKnown else { return Self.dead }
    return add(items, canEnd: canEnd, leavesKnown: leavesKnown)
  }

  /// The number of a state, which is made where it is new.
  private mutating func add(_ unsorted: [Item], canEnd: Bool, leavesKnown: Bool) -> Int32 {
    let items = unsorted.sorted()
    for number in numbers[items] ?? [] {
      if entries[Int(number)].canEnd == canEnd, entries[Int(number)].leavesKnown == leavesKnown { return number }
    }
    let number = Int32(entries.count)
    numbers[items, default: []].append(number)
    byteCount += 16 * items.count + 128
    entries.append(Entry(items: items, canEnd: canEnd, leavesKnown: leavesKnown))
    steps.append(contentsOf: repeatElement(Self.unknown, count: classCount))
    return number
  }

  /// Finds the places that take the next byte: those of the state and of all rules called there, callers first.
  private mutating func open(_ state: Int) {
    guard !entries[state].isOpened else { return }
    entries[state].isOpened = true
    var takes: [Item] = []
    // The places to return to of each called rule, in the order in which rules are entered.
    var calls: [Int: Set<Item>] = [:]
    // By falling rank, so that the next is the last.
    var waiting: [(rank: Int, rule: Int)] = []
    func call(_ item: Item) {
      guard case .call(let rule, let next) = automaton.steps[Int(item.place)] else { return }
      if calls[Int(rule)] == nil {
        let rank = automaton.rules[Int(rule)].rank
        var (low, high) = (0, waiting.count)
        while low < high {
          let middle = (low + high) / 2
          if waiting[middle].rank > rank { low = middle + 1 } else { high = middle }
        }
        waiting.insert((rank, Int(rule)), at: low)
        work += 1 + (waiting.count - low) / 64
      }
      let returns = automaton.isTail[Int(next)] ? members(of: item.stack) : [Item(next, item.stack)]
      calls[Int(rule), default: []].formUnion(returns)
    }
    for item in entries[state].items {
      if case .take = automaton.steps[Int(item.place)] { takes.append(item) } else { call(item) }
    }
    while let (_, number) = waiting.popLast() {
      let rule = automaton.rules[number]
      let stack = self.stack(of: calls[number] ?? [])
      for place in rule.firstTakes { takes.append(Item(place, stack)) }
      for place in rule.firstCalls { call(Item(place, stack)) }
      work += rule.firstTakes.count + rule.firstCalls.count
      guard takes.count <= Self.itemLimit, work <= Self.workLimit else {
        isExceeded = true
        return
      }
    }
    byteCount += 8 * takes.count
    entries[state].takes = takes
  }

  /// What a stack returns to; the two stacks without members are the end of a rule over themselves.
  private func members(of stack: Int32) -> [Item] {
    stack > Self.anything ? stacks[Int(stack)] : [Item(automaton.end, stack)]
  }

  private mutating func stack(of members: Set<Item>) -> Int32 {
    if members.count == 1, let only = members.first, only.place == automaton.end, only.stack <= Self.anything {
      return only.stack
    }
    let sorted = members.sorted()
    if let number = stackNumbers[sorted] { return number }
    let number = Int32(stacks.count)
    stacks.append(sorted)
    stackNumbers[sorted] = number
    byteCount += 16 * sorted.count + 64
    return number
  }
}

extension ParseStates {
  /// New tables with this one state and what its stacks are made of.
  func keeping(_ state: Int32) -> (ParseStates, Int32) {
    var result = ParseStates(automaton)
    // A stack's members lie over older stacks, so by rising numbers everything is there when it is needed.
    var isNeeded = [Bool](repeating: false, count: stacks.count)
    for item in entries[Int(state)].items { isNeeded[Int(item.stack)] = true }
    for number in stacks.indices.reversed() where isNeeded[number] {
      for item in stacks[number] { isNeeded[Int(item.stack)] = true }
    }
    var numbers: [Int32: Int32] = [Self.bottom: Self.bottom, Self.anything: Self.anything]
    func moved(_ item: Item) -> Item { Item(item.place, numbers[item.stack] ?? Self.bottom) }
    for number in stacks.indices where isNeeded[number] && number > Self.anything {
      numbers[Int32(number)] = result.stack(of: Set(stacks[number].map(moved)))
    }
    let number = result.add(
      entries[Int(state)].items.map(moved), canEnd: entries[Int(state)].canEnd,
      leavesKnown: entries[Int(state)].leavesKnown)
    return (result, number)
  }
}
