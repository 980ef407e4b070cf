/// Values as text: Python's `str` and `repr`.
extension TemplateEvaluator {
  /// `str(value)`.
  mutating func text(_ value: TemplateValue) throws(ChatTemplateError) -> String {
    if case .string(let text) = value { return text }
    var result = ""
    try write(value, to: &result)
    return result
  }

  /// Appends `str(value)`, elements of containers as `repr`.
  mutating func write(
    _ value: TemplateValue, to result: inout String, isNested: Bool = false
  ) throws(ChatTemplateError) {
    try step()
    let start = result.utf8.count
    switch value {
    case .undefined: if isNested { result += "Undefined" }
    case .none: result += "None"
    case .bool(let flag): result += flag ? "True" : "False"
    case .integer(let number): result += String(number)
    case .float(let number): result += PythonNumber.text(number)
    case .string(let text):
      try work(bytes: text.utf8.count)
      result += isNested ? PythonText.quoted(text) : text
    case .list(let list): return try write(list.elements, "[", "]", to: &result)
    case .tuple(let list): return try write(list.elements, "(", list.elements.count == 1 ? ",)" : ")", to: &result)
    case .dictionary(let dictionary): return try write(dictionary, to: &result)
    case .namespace(let namespace): return try write(namespace, to: &result)
    case .macro(let macro): result += "<Macro '\(macro.definition.name)'>"
    case .loop(let loop): result += "<LoopContext \(loop.index + 1)/\(loop.items.count)>"
    case .iterator, .cycler, .function, .method: throw failure("a \(value.typeName) has no text")
    }
    try build(bytes: result.utf8.count - start)
  }

  private mutating func write(
    _ elements: [TemplateValue], _ open: String, _ close: String, to result: inout String
  ) throws(ChatTemplateError) {
    result += open
    for (position, element) in elements.enumerated() {
      if position > 0 { result += ", " }
      try write(element, to: &result, isNested: true)
    }
    result += close
  }

  private mutating func write(_ dictionary: TemplateDictionary, to result: inout String) throws(ChatTemplateError) {
    result += "{"
    for (position, entry) in zip(dictionary.keys, dictionary.values).enumerated() {
      if position > 0 { result += ", " }
      try write(entry.0, to: &result, isNested: true)
      result += ": "
      try write(entry.1, to: &result, isNested: true)
    }
    result += "}"
  }

  private mutating func write(_ namespace: TemplateNamespace, to result: inout String) throws(ChatTemplateError) {
    // A namespace can hold itself; the evaluator's depth ends that.
    try enter()
    defer { leave() }
    result += "<Namespace {"
    for (position, entry) in namespace.attributes.sorted(by: { $0.key < $1.key }).enumerated() {
      if position > 0 { result += ", " }
      result += PythonText.quoted(entry.key) + ": "
      try write(entry.value, to: &result, isNested: true)
    }
    result += "}>"
  }
}
