/// What follows from an automaton's states alone: which rules may be empty, begin with which, and end at all.
struct AutomatonAnalysis {
  let steps: [GrammarAutomaton.Step]

  /// Fills in what is known of each rule, and gives the states from which the end of their rule can be reached. Throws where a
  /// rule begins with itself or has no end.
  func complete(_ rules: inout [GrammarAutomaton.Rule]) throws(GrammarError) -> [Bool] {
    let finishing = reaching(rules, takingBytes: true)
    for rule in rules where !finishing[Int(rule.start)] { throw .endlessRule(name: rule.name) }
    let silent = reaching(rules, takingBytes: false)
    for index in rules.indices { rules[index].isNullable = silent[Int(rules[index].start)] }
    for index in rules.indices { findFirst(index, &rules) }
    try rank(&rules)
    return finishing
  }

  /// The states from which the end of their rule can be reached; without `takingBytes`, at once.
  private func reaching(_ rules: [GrammarAutomaton.Rule], takingBytes: Bool) -> [Bool] {
    var result = [Bool](repeating: false, count: steps.count)
    var before = [[Int32]](repeating: [], count: steps.count)
    var callers = [[Int32]](repeating: [], count: rules.count)
    var rulesAt: [Int32: [Int]] = [:]
    for (index, rule) in rules.enumerated() { rulesAt[rule.start, default: []].append(index) }
    var hasEnded = [Bool](repeating: false, count: rules.count)
    var pending: [Int32] = []
    for (index, step) in steps.enumerated() {
      let state = Int32(index)
      switch step {
      case .end: pending.append(state)
      case .split(let first, let second):
        before[Int(first)].append(state)
        if let second { before[Int(second)].append(state) }
      case .take(_, let next): if takingBytes { before[Int(next)].append(state) }
      case .call(let rule, let next):
        before[Int(next)].append(state)
        callers[Int(rule)].append(state)
      }
    }
    func isOpen(_ state: Int32) -> Bool {
      switch steps[Int(state)] {
      case .call(let rule, let next): hasEnded[Int(rule)] && result[Int(next)]
      default: true
      }
    }
    while let state = pending.popLast() {
      guard !result[Int(state)], isOpen(state) else { continue }
      result[Int(state)] = true
      pending += before[Int(state)]
      for rule in rulesAt[state] ?? [] where !hasEnded[rule] {
        hasEnded[rule] = true
        pending += callers[rule]
      }
    }
    return result
  }

  /// What a rule begins with.
  private func findFirst(_ index: Int, _ rules: inout [GrammarAutomaton.Rule]) {
    var seen: Set<Int32> = []
    var pending = [rules[index].start]
    while let state = pending.popLast() {
      guard seen.insert(state).inserted else { continue }
      switch steps[Int(state)] {
      case .end: break
      case .split(let first, let second):
        pending.append(first)
        if let second { pending.append(second) }
      case .take: rules[index].firstTakes.append(state)
      case .call(let rule, let next):
        rules[index].firstCalls.append(state)
        if rules[Int(rule)].isNullable { pending.append(next) }
      }
    }
    rules[index].firstTakes.sort()
    rules[index].firstCalls.sort()
  }

  /// Numbers the rules so that callers at the beginning come before what they call.
  private func rank(_ rules: inout [GrammarAutomaton.Rule]) throws(GrammarError) {
    let callees = rules.map { rule in
      rule.firstCalls.compactMap { state -> Int? in
        if case .call(let rule, _) = steps[Int(state)] { Int(rule) } else { nil }
      }
    }
    var incoming = [Int](repeating: 0, count: rules.count)
    for callee in callees.joined() { incoming[callee] += 1 }
    var pending = rules.indices.filter { incoming[$0] == 0 }
    var next = 0
    while let rule = pending.popLast() {
      rules[rule].rank = next
      next += 1
      for callee in callees[rule] {
        incoming[callee] -= 1
        if incoming[callee] == 0 { pending.append(callee) }
      }
    }
    if next < rules.count { throw .leftRecursion(rules: circle(callees, incoming).map { rules[$0].name }) }
  }

  /// A rule that begins with itself, and the rules on the way back to it.
  private func circle(_ callees: [[Int]], _ incoming: [Int]) -> [Int] {
    // What is left are circles and what they call; callers of what is left are left too, so walking backwards ends in a circle.
    var callers = [Int](repeating: -1, count: callees.count)
    for rule in callees.indices where incoming[rule] > 0 {
      for callee in callees[rule] { callers[callee] = rule }
    }
    guard var place = callees.indices.first(where: { incoming[$0] > 0 }) else { return [] }
    for _ in callees { place = callers[place] }
    var way = [place]
    repeat { way.append(callers[way[way.count - 1]]) } while way[way.count - 1] != place
    return way.reversed()
  }

  /// The states that go on at the end of their rule and nowhere else.
  func tails() -> [Bool] {
    var result = [Bool](repeating: false, count: steps.count)
    for (index, step) in steps.enumerated() {
      switch step {
      case .end: result[index] = true
      // What a state goes on at was written down before it, but for the inside of a loop.
      case .split(let first, let second):
        result[index] = (result[Int(first)] || first == index) && (second.map { result[Int($0)] } ?? true)
      case .take, .call: break
      }
    }
    return result
  }
}
