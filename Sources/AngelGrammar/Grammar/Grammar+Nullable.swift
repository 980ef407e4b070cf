extension Grammar {
  /// Which rules the empty text fulfils.
  func nullableRules() -> [Bool] {
    var result = [Bool](repeating: false, count: rules.count)
    // A rule that becomes nullable makes only its callers so.
    var callers = [[Int]](repeating: [], count: rules.count)
    for (index, rule) in rules.enumerated() { rule.body.forEachCall { callers[$0].append(index) } }
    var pending = Array(rules.indices)
    while let rule = pending.popLast() {
      guard !result[rule], rules[rule].body.isNullable(result) else { continue }
      result[rule] = true
      pending += callers[rule]
    }
    return result
  }
}

extension GrammarExpression {
  /// Whether the empty text is one of these, given which rules it fulfils.
  func isNullable(_ rules: [Bool]) -> Bool {
    switch self {
    case .bytes(let bytes): bytes.isEmpty
    case .oneOf: false
    case .rule(let rule): rules[rule]
    case .sequence(let parts): parts.allSatisfy { $0.isNullable(rules) }
    case .choice(let alternatives): alternatives.contains { $0.isNullable(rules) }
    case .repeated(let part, let least, _): least == 0 || part.isNullable(rules)
    }
  }

  /// Calls `body` with each rule that this refers to.
  func forEachCall(_ body: (Int) -> Void) {
    switch self {
    case .bytes, .oneOf: break
    case .rule(let rule): body(rule)
    case .sequence(let parts), .choice(let parts): for part in parts { part.forEachCall(body) }
    case .repeated(let part, _, _): part.forEachCall(body)
    }
  }
}
