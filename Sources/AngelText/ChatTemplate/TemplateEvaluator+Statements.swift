/// Statements: output, branches, loops, assignments and macros.
extension TemplateEvaluator {
  /// How a body ended.
  enum Flow {
    case normal, breakLoop, continueLoop
  }

  mutating func execute(_ body: [TemplateStatement]) throws(ChatTemplateError) -> Flow {
    try enter()
    defer { leave() }
    for statement in body {
      try step()
      line = statement.line
      let flow = try execute(statement.kind)
      guard flow == .normal else { return flow }
    }
    return .normal
  }

  private mutating func execute(_ statement: TemplateStatement.Kind) throws(ChatTemplateError) -> Flow {
    switch statement {
    case .text(let text): try emit(text)
    case .output(let expression): try print(expression)
    case .conditional(let branches, let otherwise): return try branch(branches, otherwise)
    case .loop(let loop): return try run(loop)
    case .assignment(let target, let expression): try assign(try evaluate(expression), to: target)
    case .blockAssignment(let target, let filters, let body): try assign(filtered(body, filters), to: target)
    case .macro(let definition): scope.variables[definition.name] = try makeMacro(definition)
    case .callBlock(let call, let caller): try callBlock(call, caller)
    case .filterBlock(let filters, let body): try emit(try text(try filtered(body, filters)))
    case .scoped(let bindings, let body): return try scoped(bindings, body)
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    }
    return .normal
  }

  private mutating func print(_ expression: TemplateExpression) throws(ChatTemplateError) {
    let value = try evaluate(expression)
    try emit(try text(value))
  }

  private mutating func branch(
    _ branches: [TemplateStatement.Branch], _ otherwise: [TemplateStatement]
  ) throws(ChatTemplateError) -> Flow {
    for branch in branches where try evaluate(branch.condition).isTrue { return try execute(branch.body) }
    return try execute(otherwise)
  }

  private mutating func filtered(
    _ body: [TemplateStatement], _ filters: [TemplateExpression.PostfixStep]
  ) throws(ChatTemplateError) -> TemplateValue {
    let text = try captured(in: TemplateScope(parent: scope), body)
    return try apply(filters, to: .string(text))
  }

  private mutating func scoped(
    _ bindings: [TemplateStatement.Binding], _ body: [TemplateStatement]
  ) throws(ChatTemplateError) -> Flow {
    let outer = scope
    defer { scope = outer }
    // Values see the scope outside: `{% with a = 1, b = a %}` does not read the new `a`.
    var values: [TemplateValue] = []
    for binding in bindings { values.append(try evaluate(binding.value)) }
    scope = TemplateScope(parent: outer)
    for (binding, value) in zip(bindings, values) { try assign(value, to: binding.target) }
    return try execute(body)
  }

  // MARK: Loops

  private mutating func run(_ loop: TemplateLoop) throws(ChatTemplateError) -> Flow {
    let outer = scope
    let outerLine = line
    defer { scope = outer }
    let items = try filteredItems(of: loop)
    line = outerLine
    let state = TemplateLoopState(items: items, depth: try nesting(items))
    defer {
      // `loop.changed(loop)` would make it hold itself.
      state.lastChanged = nil
    }
    // As in Jinja2, `else` runs unless some pass got to the end of the body: a `break` in the first pass counts as
    // none.
    var isCompleted = false
    for (index, item) in items.enumerated() {
      try step()
      state.index = index
      scope = TemplateScope(parent: outer)
      scope.variables["loop"] = .loop(state)
      try assign(item, to: loop.target)
      let flow = try execute(loop.body)
      if flow == .normal { isCompleted = true }
      if flow == .breakLoop { break }
    }
    guard !isCompleted else { return .normal }
    scope = TemplateScope(parent: outer)
    return try execute(loop.otherwise)
  }

  private mutating func filteredItems(of loop: TemplateLoop) throws(ChatTemplateError) -> [TemplateValue] {
    let value = try evaluate(loop.sequence)
    if case .string(let text) = value { try build(bytes: text.utf8.count * MemoryLayout<TemplateValue>.stride) }
    let items = try elements(of: value)
    guard let filter = loop.filter else { return items }
    let outer = scope
    defer { scope = outer }
    var result: [TemplateValue] = []
    for item in items {
      scope = TemplateScope(parent: outer)
      try assign(item, to: loop.target)
      if try evaluate(filter).isTrue { result.append(item) }
    }
    return result
  }

  // MARK: Assignment

  mutating func assign(_ value: TemplateValue, to target: TemplateTarget) throws(ChatTemplateError) {
    switch target {
    case .name(let name): scope.variables[name] = value
    case .attribute(let name, let attribute):
      guard case .namespace(let namespace)? = scope.value(of: name) else {
        throw failure("cannot set '\(name).\(attribute)': '\(name)' is not a namespace")
      }
      namespace.attributes[attribute] = value
    case .tuple(let targets):
      let elements = try elements(of: value)
      guard elements.count == targets.count else {
        throw failure("\(elements.count) values cannot be unpacked into \(targets.count) names")
      }
      for (element, target) in zip(elements, targets) { try assign(element, to: target) }
    }
  }

  // MARK: Macros

  private mutating func callBlock(
    _ call: TemplateExpression, _ caller: TemplateMacro
  ) throws(ChatTemplateError) {
    guard case .postfix(let base, var steps) = call, let last = steps.popLast(),
      case .call(let arguments) = last.operation
    else { throw failure("a call block needs a call") }
    var callee = try evaluate(base)
    callee = try apply(steps, to: callee)
    var evaluated = try evaluate(arguments)
    evaluated.keyword.append(("caller", try makeMacro(caller)))
    try emit(try text(try self.call(callee, evaluated)))
  }

  mutating func call(_ macro: TemplateMacroValue, _ arguments: TemplateArguments) throws(ChatTemplateError)
    -> TemplateValue
  {
    let outerLine = line
    let inner = TemplateScope(parent: macro.scope)
    try bind(arguments, to: macro.definition, in: inner)
    let text = try captured(in: inner, macro.definition.body)
    line = outerLine
    return .string(text)
  }

  private mutating func bind(
    _ arguments: TemplateArguments, to macro: TemplateMacro, in inner: TemplateScope
  ) throws(ChatTemplateError) {
    var keyword = arguments.keyword
    for (position, parameter) in macro.parameters.enumerated() {
      if position < arguments.positional.count {
        inner.variables[parameter.name] = arguments.positional[position]
      } else if let index = keyword.firstIndex(where: { $0.name == parameter.name }) {
        inner.variables[parameter.name] = keyword.remove(at: index).value
      } else if let standard = parameter.standard {
        let outer = scope
        scope = inner
        defer { scope = outer }
        inner.variables[parameter.name] = try evaluate(standard)
      } else {
        inner.variables[parameter.name] = .undefined("parameter '\(parameter.name)' was not provided")
      }
    }
    if macro.usesCaller {
      let index = keyword.firstIndex { $0.name == "caller" }
      inner.variables["caller"] = index.map { keyword.remove(at: $0).value } ?? .undefined("No caller defined")
    }
    let extra = Array(arguments.positional.dropFirst(macro.parameters.count))
    if macro.usesExtraPositional {
      inner.variables["varargs"] = try tuple(extra)
    } else if !extra.isEmpty {
      throw failure("macro '\(macro.name)' takes at most \(macro.parameters.count) arguments")
    }
    if macro.usesExtraKeyword {
      var entries: [(key: TemplateValue, value: TemplateValue)] = []
      for argument in keyword { entries.append((.string(argument.name), argument.value)) }
      inner.variables["kwargs"] = try dictionary(entries)
    } else if let unknown = keyword.first {
      throw failure("macro '\(macro.name)' takes no keyword argument '\(unknown.name)'")
    }
  }
}
