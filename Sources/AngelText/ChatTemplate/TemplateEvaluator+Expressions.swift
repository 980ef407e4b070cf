/// Expressions: names, literals, operators and chains of attributes, calls, filters and tests.
extension TemplateEvaluator {
  mutating func evaluate(_ expression: TemplateExpression) throws(ChatTemplateError) -> TemplateValue {
    try step()
    try enter()
    defer { leave() }
    switch expression {
    case .literal(let literal): return Self.value(literal)
    case .name(let name): return lookUp(name)
    case .list(let elements): return try list(try evaluate(elements))
    case .tuple(let elements): return try tuple(try evaluate(elements))
    case .dictionary(let entries): return try evaluate(entries)
    case .negated(let operand): return try negated(try evaluate(operand))
    case .plus(let operand): return try positive(operand)
    case .not(let operand): return .bool(try !evaluate(operand).isTrue)
    case .all(let terms): return try connective(terms, stopsAt: false)
    case .any(let terms): return try connective(terms, stopsAt: true)
    case .arithmetic(let first, let steps): return try arithmetic(first, steps)
    case .concatenation(let parts): return try concatenation(parts)
    case .comparison(let first, let steps): return try comparison(first, steps)
    case .conditional(let condition, let then, let otherwise): return try conditional(condition, then, otherwise)
    case .postfix(let base, let steps): return try apply(steps, to: try evaluate(base))
    }
  }

  private static func value(_ literal: TemplateLiteral) -> TemplateValue {
    switch literal {
    case .none: .none
    case .bool(let flag): .bool(flag)
    case .integer(let number): .integer(number)
    case .float(let number): .float(number)
    case .string(let text): .string(text)
    }
  }

  private func lookUp(_ name: String) -> TemplateValue {
    if let value = scope.value(of: name) { return value }
    return TemplateFunction(rawValue: name).map { .function($0) } ?? .undefined("'\(name)' is undefined")
  }

  private mutating func evaluate(_ elements: [TemplateExpression]) throws(ChatTemplateError) -> [TemplateValue] {
    var values: [TemplateValue] = []
    for element in elements { values.append(try evaluate(element)) }
    return values
  }

  private mutating func evaluate(_ entries: [TemplateExpression.Entry]) throws(ChatTemplateError) -> TemplateValue {
    var pairs: [(key: TemplateValue, value: TemplateValue)] = []
    for entry in entries { pairs.append((try evaluate(entry.key), try evaluate(entry.value))) }
    return try dictionary(pairs)
  }

  private mutating func positive(_ operand: TemplateExpression) throws(ChatTemplateError) -> TemplateValue {
    let value = try evaluate(operand)
    if let number = value.integer { return .integer(number) }
    guard case .float = value else { throw failure("unary '+' is not defined for '\(value.typeName)'") }
    return value
  }

  /// `and` and `or` give the operand that decided.
  private mutating func connective(
    _ terms: [TemplateExpression], stopsAt decisive: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    var value = TemplateValue.none
    for term in terms {
      value = try evaluate(term)
      if value.isTrue == decisive { break }
    }
    return value
  }

  private mutating func arithmetic(
    _ first: TemplateExpression, _ steps: [TemplateExpression.ArithmeticStep]
  ) throws(ChatTemplateError) -> TemplateValue {
    var value = try evaluate(first)
    for step in steps {
      let operand = try evaluate(step.operand)
      line = step.line
      value = try apply(step.operation, value, operand)
    }
    return value
  }

  private mutating func concatenation(_ parts: [TemplateExpression]) throws(ChatTemplateError) -> TemplateValue {
    var result = ""
    for part in parts { result += try text(try evaluate(part)) }
    return try string(result)
  }

  /// `a < b < c` evaluates each operand once and stops at the first failure.
  private mutating func comparison(
    _ first: TemplateExpression, _ steps: [TemplateExpression.ComparisonStep]
  ) throws(ChatTemplateError) -> TemplateValue {
    var left = try evaluate(first)
    for step in steps {
      let right = try evaluate(step.operand)
      line = step.line
      guard try compare(left, step.operation, right) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  private mutating func conditional(
    _ condition: TemplateExpression, _ then: TemplateExpression, _ otherwise: TemplateExpression?
  ) throws(ChatTemplateError) -> TemplateValue {
    if try evaluate(condition).isTrue { return try evaluate(then) }
    guard let otherwise else { return .undefined("an inline if was false and has no else") }
    return try evaluate(otherwise)
  }

  // MARK: Chains

  mutating func apply(
    _ steps: [TemplateExpression.PostfixStep], to base: TemplateValue
  ) throws(ChatTemplateError) -> TemplateValue {
    var value = base
    for step in steps {
      try self.step()
      value = try apply(step.operation, to: value, line: step.line)
    }
    return value
  }

  private mutating func apply(
    _ operation: TemplateExpression.Postfix, to value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    self.line = line
    switch operation {
    case .attribute(let name): return try attribute(name, of: value)
    case .element(let index): return try element(try evaluate(index), of: value)
    case .slice(let start, let stop, let stride): return try slice(value, start, stop, stride)
    case .call(let call):
      let arguments = try evaluate(call)
      self.line = line
      return try self.call(value, arguments)
    case .filter(let use): return try filter(use.name, value, try evaluate(use.call))
    case .test(let use, let isNegated): return .bool(try test(use.name, value, try evaluate(use.call)) != isNegated)
    }
  }

  mutating func filter(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> TemplateValue {
    // Found out when it is used: templates ask for filters of one program in branches that another never takes.
    guard let filter = TemplateFilters.table[name] else {
      throw .unsupported(line: line, construct: "the filter '\(name)'")
    }
    if TemplateFilters.withoutArguments.contains(name) {
      _ = try arguments.bound(to: [], of: "the filter '\(name)'", self)
    }
    return try filter(value, arguments, &self)
  }

  mutating func test(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> Bool {
    guard let test = TemplateTests.table[name] else {
      throw .unsupported(line: line, construct: "the test '\(name)'")
    }
    return try test(value, arguments, &self)
  }

  mutating func evaluate(_ call: TemplateCall) throws(ChatTemplateError) -> TemplateArguments {
    var result = TemplateArguments()
    for argument in call.arguments {
      switch argument {
      case .positional(let expression): result.positional.append(try evaluate(expression))
      case .keyword(let name, let expression): result.keyword.append((name, try evaluate(expression)))
      case .unpackedList(let expression):
        let elements = try elements(of: try evaluate(expression))
        try build(bytes: elements.count * MemoryLayout<TemplateValue>.stride)
        result.positional += elements
      case .unpackedDictionary(let expression): result.keyword += try keywords(try evaluate(expression))
      }
    }
    return result
  }

  private func keywords(_ value: TemplateValue) throws(ChatTemplateError) -> [(name: String, value: TemplateValue)] {
    guard case .dictionary(let dictionary) = value else { throw failure("'**' needs a dict, not '\(value.typeName)'") }
    var result: [(name: String, value: TemplateValue)] = []
    for (key, value) in zip(dictionary.keys, dictionary.values) {
      guard let name = key.string else { throw failure("keyword arguments must be strings") }
      result.append((name, value))
    }
    return result
  }

  // MARK: Calls

  mutating func call(
    _ callee: TemplateValue, _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> TemplateValue {
    switch callee {
    case .macro(let macro): return try call(macro, arguments)
    case .function(let function): return try call(function, arguments)
    case .method(let receiver, let name): return try call(name, of: receiver, arguments)
    case .cycler(let cycler): return joinerText(cycler)
    case .undefined(let what): throw failure(what)
    default: throw failure("'\(callee.typeName)' object is not callable")
    }
  }

  private func joinerText(_ cycler: TemplateCycler) -> TemplateValue {
    defer { cycler.position = 1 }
    return cycler.items[min(cycler.position, 1)]
  }
}
