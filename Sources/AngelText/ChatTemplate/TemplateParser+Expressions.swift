/// Expressions by recursive descent; the grammar and its oddities (left-associative `**`, `~` above `+`) are Jinja2's.
extension TemplateParser {
  /// An expression, or a tuple without parentheses.
  mutating func tupleOrExpression(
    allowsConditional: Bool = true, endWords: [String] = []
  ) throws(ChatTemplateError) -> TemplateExpression {
    let first = allowsConditional ? try expression() : try disjunction()
    guard isSymbol(",") else { return first }
    var elements = [first]
    while skip(symbol: ",") {
      if isTupleEnd(endWords) { break }
      elements.append(allowsConditional ? try expression() : try disjunction())
    }
    return .tuple(elements)
  }

  private func isTupleEnd(_ words: [String]) -> Bool {
    switch current.kind {
    case .outputEnd, .blockEnd, .symbol(")"): true
    case .name(let word): words.contains(word)
    default: false
    }
  }

  mutating func expression() throws(ChatTemplateError) -> TemplateExpression {
    let level = depth
    defer { depth = level }
    try descend()
    var result = try disjunction()
    while skip(word: "if") {
      // Each `if` wraps what is before it, so a chain of them is as deep as it is long.
      try descend()
      let condition = try disjunction()
      let otherwise = skip(word: "else") ? try expression() : nil
      result = .conditional(condition: condition, then: result, otherwise: otherwise)
    }
    return result
  }

  mutating func disjunction() throws(ChatTemplateError) -> TemplateExpression {
    var terms = [try conjunction()]
    while skip(word: "or") { terms.append(try conjunction()) }
    return terms.count == 1 ? terms[0] : .any(terms)
  }

  private mutating func conjunction() throws(ChatTemplateError) -> TemplateExpression {
    var terms = [try negation()]
    while skip(word: "and") { terms.append(try negation()) }
    return terms.count == 1 ? terms[0] : .all(terms)
  }

  private mutating func negation() throws(ChatTemplateError) -> TemplateExpression {
    guard skip(word: "not") else { return try comparison() }
    try descend()
    defer { depth -= 1 }
    return .not(try negation())
  }

  private mutating func comparison() throws(ChatTemplateError) -> TemplateExpression {
    let first = try sum()
    var steps: [TemplateExpression.ComparisonStep] = []
    while true {
      let line = line
      guard let operation = comparisonOperator() else { break }
      advance()
      if operation == .notContained { advance() }
      steps.append(TemplateExpression.ComparisonStep(operation: operation, operand: try sum(), line: line))
    }
    return steps.isEmpty ? first : .comparison(first, steps)
  }

  private func comparisonOperator() -> TemplateComparison? {
    switch current.kind {
    case .symbol(let symbol): TemplateComparison(rawValue: symbol)
    case .name("in"): .contained
    case .name("not"): nextIs(.name("in")) ? .notContained : nil
    default: nil
    }
  }

  private func arithmeticOperator(_ symbols: [String]) -> TemplateArithmetic? {
    guard case .symbol(let symbol) = current.kind, symbols.contains(symbol) else { return nil }
    return TemplateArithmetic(rawValue: symbol)
  }

  private mutating func sum() throws(ChatTemplateError) -> TemplateExpression {
    let first = try concatenation()
    var steps: [TemplateExpression.ArithmeticStep] = []
    while let operation = arithmeticOperator(["+", "-"]) {
      let line = line
      advance()
      steps.append(TemplateExpression.ArithmeticStep(operation: operation, operand: try concatenation(), line: line))
    }
    return steps.isEmpty ? first : .arithmetic(first, steps)
  }

  private mutating func concatenation() throws(ChatTemplateError) -> TemplateExpression {
    var parts = [try product()]
    while skip(symbol: "~") { parts.append(try product()) }
    return parts.count == 1 ? parts[0] : .concatenation(parts)
  }

  private mutating func product() throws(ChatTemplateError) -> TemplateExpression {
    let first = try power()
    var steps: [TemplateExpression.ArithmeticStep] = []
    while let operation = arithmeticOperator(["*", "/", "//", "%"]) {
      let line = line
      advance()
      steps.append(TemplateExpression.ArithmeticStep(operation: operation, operand: try power(), line: line))
    }
    return steps.isEmpty ? first : .arithmetic(first, steps)
  }

  private mutating func power() throws(ChatTemplateError) -> TemplateExpression {
    let first = try unary(takesFilters: true)
    var steps: [TemplateExpression.ArithmeticStep] = []
    while let operation = arithmeticOperator(["**"]) {
      let line = line
      advance()
      steps.append(
        TemplateExpression.ArithmeticStep(operation: operation, operand: try unary(takesFilters: true), line: line))
    }
    return steps.isEmpty ? first : .arithmetic(first, steps)
  }

  private mutating func unary(takesFilters: Bool) throws(ChatTemplateError) -> TemplateExpression {
    let base: TemplateExpression
    if isSymbol("-") || isSymbol("+") {
      let isMinus = isSymbol("-")
      advance()
      try descend()
      let operand = try unary(takesFilters: false)
      depth -= 1
      base = isMinus ? .negated(operand) : .plus(operand)
    } else {
      base = try primary()
    }
    var steps: [TemplateExpression.PostfixStep] = []
    while let step = try postfix() { steps.append(step) }
    if takesFilters { while let step = try filterOrTest() { steps.append(step) } }
    return steps.isEmpty ? base : .postfix(base, steps)
  }

  // MARK: Primaries

  private mutating func primary() throws(ChatTemplateError) -> TemplateExpression {
    switch current.kind {
    case .name: return try nameOrLiteral()
    case .string(var text):
      advance()
      while case .string(let more) = current.kind {
        text += more
        advance()
      }
      return .literal(.string(text))
    case .integer(let value):
      advance()
      return .literal(.integer(value))
    case .float(let value):
      advance()
      return .literal(.float(value))
    case .symbol("("): return try parenthesized()
    case .symbol("["): return try list()
    case .symbol("{"): return try dictionary()
    default: throw unexpected()
    }
  }

  private mutating func nameOrLiteral() throws(ChatTemplateError) -> TemplateExpression {
    let name = try expectName()
    switch name {
    case "true", "True": return .literal(.bool(true))
    case "false", "False": return .literal(.bool(false))
    case "none", "None": return .literal(.none)
    default:
      namesRead.insert(name)
      return .name(name)
    }
  }

  private mutating func parenthesized() throws(ChatTemplateError) -> TemplateExpression {
    advance()
    if skip(symbol: ")") { return .tuple([]) }
    let result = try tupleOrExpression()
    try expect(.symbol(")"))
    return result
  }

  private mutating func list() throws(ChatTemplateError) -> TemplateExpression {
    advance()
    var elements: [TemplateExpression] = []
    while !isSymbol("]") {
      if !elements.isEmpty { try expect(.symbol(",")) }
      if isSymbol("]") { break }
      elements.append(try expression())
    }
    advance()
    return .list(elements)
  }

  private mutating func dictionary() throws(ChatTemplateError) -> TemplateExpression {
    advance()
    var entries: [TemplateExpression.Entry] = []
    while !isSymbol("}") {
      if !entries.isEmpty { try expect(.symbol(",")) }
      if isSymbol("}") { break }
      let key = try expression()
      try expect(.symbol(":"))
      entries.append(TemplateExpression.Entry(key: key, value: try expression()))
    }
    advance()
    return .dictionary(entries)
  }

  // MARK: Postfixes

  private mutating func postfix() throws(ChatTemplateError) -> TemplateExpression.PostfixStep? {
    let line = line
    switch current.kind {
    case .symbol("."):
      advance()
      if case .integer(let index) = current.kind {
        advance()
        return TemplateExpression.PostfixStep(operation: .element(.literal(.integer(index))), line: line)
      }
      return TemplateExpression.PostfixStep(operation: .attribute(try expectName()), line: line)
    case .symbol("["): return TemplateExpression.PostfixStep(operation: try subscription(), line: line)
    case .symbol("("): return TemplateExpression.PostfixStep(operation: .call(try call()), line: line)
    default: return nil
    }
  }

  private mutating func subscription() throws(ChatTemplateError) -> TemplateExpression.Postfix {
    advance()
    var bounds: [TemplateExpression?] = [nil]
    while true {
      if skip(symbol: ":") {
        bounds.append(nil)
      } else if isSymbol("]") {
        break
      } else {
        guard bounds[bounds.count - 1] == nil else { throw unexpected() }
        bounds[bounds.count - 1] = try expression()
      }
    }
    advance()
    switch bounds.count {
    case 1:
      guard let index = bounds[0] else { throw failure("expected an index between '[' and ']'") }
      return .element(index)
    case 2: return .slice(bounds[0], bounds[1], nil)
    case 3: return .slice(bounds[0], bounds[1], bounds[2])
    default: throw failure("a slice has at most three parts")
    }
  }

  mutating func call() throws(ChatTemplateError) -> TemplateCall {
    try expect(.symbol("("))
    var call = TemplateCall()
    var sawKeyword = false
    while !isSymbol(")") {
      if !call.arguments.isEmpty { try expect(.symbol(",")) }
      if isSymbol(")") { break }
      if skip(symbol: "*") {
        call.arguments.append(.unpackedList(try expression()))
      } else if skip(symbol: "**") {
        call.arguments.append(.unpackedDictionary(try expression()))
        sawKeyword = true
      } else if case .name(let name) = current.kind, nextIs(.symbol("=")) {
        advance()
        advance()
        call.arguments.append(.keyword(name, try expression()))
        sawKeyword = true
      } else {
        guard !sawKeyword else { throw failure("a positional argument follows a keyword argument") }
        call.arguments.append(.positional(try expression()))
      }
    }
    advance()
    return call
  }

  private mutating func filterOrTest() throws(ChatTemplateError) -> TemplateExpression.PostfixStep? {
    let line = line
    if skip(symbol: "|") { return try filter() }
    if skip(word: "is") { return TemplateExpression.PostfixStep(operation: try test(), line: line) }
    guard isSymbol("(") else { return nil }
    return TemplateExpression.PostfixStep(operation: .call(try call()), line: line)
  }

  /// Filters that follow, each after its `|`.
  mutating func filterChain() throws(ChatTemplateError) -> [TemplateExpression.PostfixStep] {
    var result: [TemplateExpression.PostfixStep] = []
    while skip(symbol: "|") { result.append(try filter()) }
    return result
  }

  mutating func filter() throws(ChatTemplateError) -> TemplateExpression.PostfixStep {
    let line = line
    let name = try expectName()
    let use = TemplateFilterUse(name: name, call: isSymbol("(") ? try call() : TemplateCall())
    return TemplateExpression.PostfixStep(operation: .filter(use), line: line)
  }

  private mutating func test() throws(ChatTemplateError) -> TemplateExpression.Postfix {
    let isNegated = skip(word: "not")
    let name = try expectName()
    var arguments = TemplateCall()
    if isSymbol("(") {
      arguments = try call()
    } else if beginsTestArgument {
      guard !isWord("is") else { throw failure("tests cannot be chained with 'is'") }
      try descend()
      let base = try primary()
      depth -= 1
      var steps: [TemplateExpression.PostfixStep] = []
      while let step = try postfix() { steps.append(step) }
      arguments.arguments = [.positional(steps.isEmpty ? base : .postfix(base, steps))]
    }
    return .test(TemplateFilterUse(name: name, call: arguments), isNegated: isNegated)
  }

  /// A test takes one argument without parentheses, as in `is divisibleby 3`.
  private var beginsTestArgument: Bool {
    switch current.kind {
    case .name(let word): word != "else" && word != "or" && word != "and"
    case .string, .integer, .float, .symbol("("), .symbol("["), .symbol("{"): true
    default: false
    }
  }
}
