/// Equality, order and containment with Python's rules. Each visited element costs a step: shared parts of a value
/// make it larger as a tree than in memory.
extension TemplateEvaluator {
  mutating func equal(_ a: TemplateValue, _ b: TemplateValue) throws(ChatTemplateError) -> Bool {
    try step()
    switch (a, b) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let x), .string(let y)):
      try work(bytes: min(x.utf8.count, y.utf8.count))
      return PythonText.equal(x, y)
    case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)): return try equal(x.elements, y.elements)
    case (.dictionary(let x), .dictionary(let y)): return try equal(x, y)
    case (.namespace(let x), .namespace(let y)): return x === y
    case (.loop(let x), .loop(let y)): return x === y
    case (.cycler(let x), .cycler(let y)): return x === y
    case (.macro(let x), .macro(let y)): return x === y
    case (.function(let x), .function(let y)): return x == y
    default: return Self.equalNumbers(a, b)
    }
  }

  private static func equalNumbers(_ a: TemplateValue, _ b: TemplateValue) -> Bool {
    if let x = a.integer, let y = b.integer { return x == y }
    switch (a, b) {
    case (.float(let x), .float(let y)): return x == y
    case (.float(let x), _): return b.integer.map { Int(exactly: x) == $0 } ?? false
    case (_, .float(let y)): return a.integer.map { Int(exactly: y) == $0 } ?? false
    default: return false
    }
  }

  private mutating func equal(_ a: [TemplateValue], _ b: [TemplateValue]) throws(ChatTemplateError) -> Bool {
    guard a.count == b.count else { return false }
    for (x, y) in zip(a, b) where try !equal(x, y) { return false }
    return true
  }

  private mutating func equal(_ a: TemplateDictionary, _ b: TemplateDictionary) throws(ChatTemplateError) -> Bool {
    guard a.keys.count == b.keys.count else { return false }
    for (key, value) in zip(a.keys, a.values) {
      guard let key = TemplateKey(key), let other = b.value(at: key), try equal(value, other) else { return false }
    }
    return true
  }

  /// `a < b`; fails for types that Python does not order.
  mutating func less(
    _ a: TemplateValue, _ b: TemplateValue, operation: String = "<"
  ) throws(ChatTemplateError) -> Bool {
    try step()
    if let x = a.integer, let y = b.integer { return x < y }
    if let x = a.number, let y = b.number { return x < y }
    switch (a, b) {
    case (.string(let x), .string(let y)):
      try work(bytes: min(x.utf8.count, y.utf8.count))
      return PythonText.less(x, y)
    case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)):
      for (first, second) in zip(x.elements, y.elements) where try !equal(first, second) {
        return try less(first, second, operation: operation)
      }
      return x.elements.count < y.elements.count
    case (.undefined(let what), _), (_, .undefined(let what)): throw failure(what)
    default:
      throw failure("'\(operation)' is not defined between '\(a.typeName)' and '\(b.typeName)'")
    }
  }

  /// `needle in container`.
  mutating func contains(_ container: TemplateValue, _ needle: TemplateValue) throws(ChatTemplateError) -> Bool {
    switch container {
    case .string(let text):
      guard let wanted = needle.string else {
        throw failure("'in' of a string needs a string on its left, not '\(needle.typeName)'")
      }
      try work(bytes: text.utf8.count)
      return PythonText.contains(text, wanted)
    case .dictionary(let dictionary): return dictionary.value(at: try key(needle)) != nil
    default:
      for element in try elements(of: container) where try equal(element, needle) { return true }
      return false
    }
  }

  mutating func compare(
    _ a: TemplateValue, _ operation: TemplateComparison, _ b: TemplateValue
  ) throws(ChatTemplateError) -> Bool {
    switch operation {
    case .equal: try equal(a, b)
    case .unequal: try !equal(a, b)
    case .less: try less(a, b)
    case .greater: try less(b, a, operation: ">")
    case .lessOrEqual: try lessOrEqual(a, b, "<=")
    case .greaterOrEqual: try lessOrEqual(b, a, ">=")
    case .contained: try contains(b, a)
    case .notContained: try !contains(b, a)
    }
  }

  private mutating func lessOrEqual(
    _ a: TemplateValue, _ b: TemplateValue, _ operation: String
  ) throws(ChatTemplateError) -> Bool {
    // Not the negation of `b < a`: that would make NaN smaller than everything.
    if try less(a, b, operation: operation) { return true }
    return try equal(a, b)
  }
}
