extension Grammar {
  /// Which rules the empty text may fulfil. Some that it does not are among them where rules call one another in long chains:
  /// two passes are made, however large the grammar is.
  func perhapsNullableRules() -> [Bool] {
    var result = [Bool](repeating: true, count: rules.count)
    for _ in 0..<2 {
      for index in rules.indices where result[index] { result[index] = rules[index].body.isNullable(result) }
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
}
