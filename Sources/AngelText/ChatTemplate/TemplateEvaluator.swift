import AngelCore

/// Runs a syntax tree: variables in, text out. Every step, byte and level of nesting is taken from a budget, so that no
/// template can hang, fill memory or overflow the stack.
struct TemplateEvaluator {
  let limits: ChatTemplateLimits
  /// Seconds since 1970 for `strftime_now`; nil is the clock.
  let now: Int?
  /// The line being evaluated, for errors.
  var line = 1
  var scope = TemplateScope(parent: nil)
  var output = ""
  private var steps = 0
  private var builtBytes = 0
  private var depth = 0
  /// Everything that can be part of a reference cycle; emptied at the end.
  private var namespaces: [TemplateNamespace] = []
  private var scopes: [TemplateScope] = []

  init(limits: ChatTemplateLimits, now: Int?) {
    self.limits = limits
    self.now = now
  }

  mutating func render(_ body: [TemplateStatement], variables: JSONObject) throws(ChatTemplateError) -> String {
    defer { breakCycles() }
    for member in variables.members { scope.variables[member.key] = try value(member.value, depth: 0) }
    // A scope of its own, so that `set` in the template hides variables without a trace.
    scope = TemplateScope(parent: scope)
    _ = try execute(body)
    return output
  }

  private mutating func breakCycles() {
    for namespace in namespaces { namespace.attributes = [:] }
    for scope in scopes { scope.variables = [:] }
  }

  mutating func makeNamespace() throws(ChatTemplateError) -> TemplateNamespace {
    try build(bytes: 256)
    let namespace = TemplateNamespace()
    namespaces.append(namespace)
    return namespace
  }

  mutating func makeMacro(_ definition: TemplateMacro) throws(ChatTemplateError) -> TemplateValue {
    try build(bytes: 256)
    scopes.append(scope)
    return .macro(TemplateMacroValue(definition: definition, scope: scope))
  }

  // MARK: Budget

  func failure(_ reason: String) -> ChatTemplateError { .evaluation(line: line, reason: reason) }

  private func exceeded(_ reason: String) -> ChatTemplateError { .limit(line: line, reason: reason) }

  /// Counts one step.
  mutating func step() throws(ChatTemplateError) {
    steps += 1
    guard steps <= limits.steps else { throw exceeded("more than \(limits.steps) steps") }
  }

  /// Counts going through `bytes` bytes.
  mutating func work(bytes: Int) throws(ChatTemplateError) {
    steps += bytes >> 8
    try step()
  }

  /// Counts `bytes` bytes of new strings or lists, before they are built.
  mutating func build(bytes: Int, times: Int = 1) throws(ChatTemplateError) {
    let (total, overflow) = bytes.multipliedReportingOverflow(by: times)
    guard !overflow, total <= limits.builtBytes - builtBytes else {
      throw exceeded("more than \(limits.builtBytes) bytes of values")
    }
    builtBytes += total
    try work(bytes: total)
  }

  /// Goes one level deeper; pairs with `leave`.
  mutating func enter() throws(ChatTemplateError) {
    depth += 1
    guard depth <= limits.depth else {
      depth -= 1
      throw exceeded("nested deeper than \(limits.depth)")
    }
  }

  mutating func leave() { depth -= 1 }

  // MARK: Output

  mutating func emit(_ text: String) throws(ChatTemplateError) {
    guard text.utf8.count <= limits.outputBytes - output.utf8.count else {
      throw exceeded("more than \(limits.outputBytes) bytes of output")
    }
    try work(bytes: text.utf8.count)
    output += text
  }

  /// The output of `body` alone, in a scope of its own.
  mutating func captured(
    in inner: TemplateScope, _ body: [TemplateStatement]
  ) throws(ChatTemplateError) -> String {
    let (outerOutput, outerScope) = (output, scope)
    output = ""
    scope = inner
    defer {
      output = outerOutput
      scope = outerScope
    }
    _ = try execute(body)
    try build(bytes: output.utf8.count)
    return output
  }

  // MARK: Making values

  mutating func list(_ elements: [TemplateValue]) throws(ChatTemplateError) -> TemplateValue {
    .list(try sequence(elements))
  }

  mutating func tuple(_ elements: [TemplateValue]) throws(ChatTemplateError) -> TemplateValue {
    .tuple(try sequence(elements))
  }

  mutating func iterator(_ elements: [TemplateValue]) throws(ChatTemplateError) -> TemplateValue {
    .iterator(try sequence(elements))
  }

  private mutating func sequence(_ elements: [TemplateValue]) throws(ChatTemplateError) -> TemplateList {
    try build(bytes: elements.count * MemoryLayout<TemplateValue>.stride)
    return TemplateList(elements: elements, depth: try nesting(elements))
  }

  func nesting(_ elements: [TemplateValue]) throws(ChatTemplateError) -> Int {
    var depth = 0
    for element in elements { depth = max(depth, element.depth) }
    guard depth < TemplateList.maximumDepth else {
      throw exceeded("lists nest deeper than \(TemplateList.maximumDepth)")
    }
    return depth + 1
  }

  /// A string that a filter has just made from counted input.
  mutating func string(_ text: String) throws(ChatTemplateError) -> TemplateValue {
    try build(bytes: text.utf8.count)
    return .string(text)
  }

  mutating func strings(_ texts: [String]) throws(ChatTemplateError) -> TemplateValue {
    var values: [TemplateValue] = []
    for text in texts { values.append(try string(text)) }
    return try list(values)
  }

  func key(_ value: TemplateValue) throws(ChatTemplateError) -> TemplateKey {
    guard let key = TemplateKey(value) else { throw failure("a '\(value.typeName)' cannot be a dictionary key") }
    return key
  }

  /// A dictionary; of equal keys the first place and the last value count.
  mutating func dictionary(
    _ entries: [(key: TemplateValue, value: TemplateValue)]
  ) throws(ChatTemplateError) -> TemplateValue {
    try build(bytes: entries.count * 4 * MemoryLayout<TemplateValue>.stride)
    var keys: [TemplateValue] = []
    var values: [TemplateValue] = []
    var index: [TemplateKey: Int] = [:]
    for entry in entries {
      let key = try key(entry.key)
      if let position = index[key] {
        values[position] = entry.value
      } else {
        index[key] = keys.count
        keys.append(entry.key)
        values.append(entry.value)
      }
    }
    let depth = max(try nesting(keys), try nesting(values))
    return .dictionary(TemplateDictionary(keys: keys, values: values, index: index, depth: depth))
  }

  /// A JSON document as a template value.
  mutating func value(_ json: JSONValue, depth: Int) throws(ChatTemplateError) -> TemplateValue {
    guard depth < TemplateList.maximumDepth else { throw exceeded("the input nests too deep") }
    switch json {
    case .null: return .none
    case .bool(let flag): return .bool(flag)
    case .integer(let number): return .integer(number)
    case .number(let number): return .float(number)
    case .string(let text): return .string(text)
    case .array(let elements):
      var values: [TemplateValue] = []
      for element in elements { values.append(try value(element, depth: depth + 1)) }
      return try list(values)
    case .object(let object):
      var entries: [(key: TemplateValue, value: TemplateValue)] = []
      for member in object.members { entries.append((.string(member.key), try value(member.value, depth: depth + 1))) }
      return try dictionary(entries)
    }
  }

  // MARK: Iteration

  /// What a loop over `value` visits.
  func elements(of value: TemplateValue) throws(ChatTemplateError) -> [TemplateValue] {
    switch value {
    case .undefined: return []
    case .list(let list), .tuple(let list), .iterator(let list): return list.elements
    case .dictionary(let dictionary): return dictionary.keys
    case .string(let text): return text.unicodeScalars.map { .string(String($0)) }
    default: throw failure("'\(value.typeName)' object is not iterable")
    }
  }
}
