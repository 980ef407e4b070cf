/// Attributes, elements and slices: `a.b`, `a[b]`, `a[b:c:d]`.
extension TemplateEvaluator {
  /// `value.name`: a method or attribute first, then the element of that name.
  mutating func attribute(_ name: String, of value: TemplateValue) throws(ChatTemplateError) -> TemplateValue {
    if case .undefined(let what) = value { throw failure(what) }
    if let found = try member(name, of: value) { return found }
    if case .dictionary(let dictionary) = value, let found = dictionary.value(named: name) { return found }
    return .undefined("'\(value.objectName)' has no attribute '\(name)'")
  }

  /// `value[index]`: an element first; a string that is none may still name an attribute.
  mutating func element(_ index: TemplateValue, of value: TemplateValue) throws(ChatTemplateError) -> TemplateValue {
    if case .undefined(let what) = value { throw failure(what) }
    switch value {
    case .dictionary(let dictionary):
      if let key = TemplateKey(index), let found = dictionary.value(at: key) { return found }
    case .list(let list), .tuple(let list):
      if let index = index.integer, let position = Self.position(index, count: list.elements.count) {
        return list.elements[position]
      }
    case .string(let text): if let index = index.integer, let found = try character(index, of: text) { return found }
    default: break
    }
    guard let name = index.string else {
      return .undefined("'\(value.objectName)' has no element \(try text(index))")
    }
    return try member(name, of: value) ?? .undefined("'\(value.objectName)' has no attribute '\(name)'")
  }

  private static func position(_ index: Int, count: Int) -> Int? {
    let position = index < 0 ? index + count : index
    return position >= 0 && position < count ? position : nil
  }

  private mutating func character(_ index: Int, of text: String) throws(ChatTemplateError) -> TemplateValue? {
    try work(bytes: text.utf8.count)
    let scalars = text.unicodeScalars
    guard let position = Self.position(index, count: scalars.count) else { return nil }
    return .string(String(scalars[scalars.index(scalars.startIndex, offsetBy: position)]))
  }

  /// What Python finds by `getattr`.
  private mutating func member(_ name: String, of value: TemplateValue) throws(ChatTemplateError) -> TemplateValue? {
    switch value {
    case .namespace(let namespace): return namespace.attributes[name]
    case .loop(let loop): return try loopAttribute(name, loop)
    case .cycler(let cycler): return cyclerAttribute(name, cycler)
    case .macro(let macro): return name == "name" ? .string(macro.definition.name) : nil
    default: break
    }
    if TemplateMethods.refused(name, by: value) {
      return .undefined("access to attribute '\(name)' of '\(value.objectName)' is unsafe: values cannot be changed")
    }
    return TemplateMethods.exists(name, on: value) ? .method(value, name) : nil
  }

  private mutating func loopAttribute(
    _ name: String, _ loop: TemplateLoopState
  ) throws(ChatTemplateError) -> TemplateValue? {
    let (index, count) = (loop.index, loop.items.count)
    switch name {
    case "index": return .integer(index + 1)
    case "index0": return .integer(index)
    case "revindex": return .integer(count - index)
    case "revindex0": return .integer(count - index - 1)
    case "first": return .bool(index == 0)
    case "last": return .bool(index == count - 1)
    case "length": return .integer(count)
    case "depth": return .integer(1)
    case "depth0": return .integer(0)
    case "previtem": return index > 0 ? loop.items[index - 1] : .undefined("there is no previous item")
    case "nextitem": return index + 1 < count ? loop.items[index + 1] : .undefined("there is no next item")
    case "cycle", "changed": return .method(.loop(loop), name)
    default: return nil
    }
  }

  private func cyclerAttribute(_ name: String, _ cycler: TemplateCycler) -> TemplateValue? {
    guard !cycler.isJoiner else { return nil }
    return switch name {
    case "current": cycler.items[cycler.position]
    case "next", "reset": .method(.cycler(cycler), name)
    default: nil
    }
  }

  // MARK: Slices

  mutating func slice(
    _ value: TemplateValue, _ start: TemplateExpression?, _ stop: TemplateExpression?, _ stride: TemplateExpression?
  ) throws(ChatTemplateError) -> TemplateValue {
    let bounds = (try bound(start), try bound(stop), try bound(stride) ?? 1)
    switch value {
    case .undefined(let what): throw failure(what)
    case .list(let list): return try self.list(try Self.sliced(list.elements, bounds, self))
    case .tuple(let list): return try tuple(try Self.sliced(list.elements, bounds, self))
    case .string(let text):
      try work(bytes: text.utf8.count)
      return try string(PythonText.string(try Self.sliced(Array(text.unicodeScalars), bounds, self)))
    default: return .undefined("'\(value.objectName)' cannot be sliced")
    }
  }

  private mutating func bound(_ expression: TemplateExpression?) throws(ChatTemplateError) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if case .none = value { return nil }
    guard let number = value.integer else { throw failure("a slice bound must be an integer, not '\(value.typeName)'") }
    return number
  }

  private static func sliced<Element>(
    _ elements: [Element], _ bounds: (start: Int?, stop: Int?, stride: Int), _ context: borrowing TemplateEvaluator
  ) throws(ChatTemplateError) -> [Element] {
    guard bounds.stride != 0 else { throw context.failure("a slice step cannot be zero") }
    let count = elements.count
    let (low, high) = bounds.stride > 0 ? (0, count) : (-1, count - 1)
    let clamped = { (bound: Int) in min(max(bound < 0 ? bound + count : bound, low), high) }
    let start = bounds.start.map(clamped) ?? (bounds.stride > 0 ? low : high)
    let stop = bounds.stop.map(clamped) ?? (bounds.stride > 0 ? high : low)
    if bounds.stride == 1 { return start < stop ? Array(elements[start..<stop]) : [] }
    var result: [Element] = []
    // Steps beyond the whole list all mean "the first element only", and must not overflow.
    let stride = min(max(bounds.stride, -count - 1), count + 1)
    var index = start
    while stride > 0 ? index < stop : index > stop {
      result.append(elements[index])
      index += stride
    }
    return result
  }
}
