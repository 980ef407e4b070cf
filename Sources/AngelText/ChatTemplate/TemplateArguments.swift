/// The evaluated arguments of a call.
struct TemplateArguments {
  var positional: [TemplateValue] = []
  var keyword: [(name: String, value: TemplateValue)] = []

  /// The values of parameters `names` in order, nil where not given.
  func bound(
    to names: [String], required: Int = 0, of callee: String, _ context: borrowing TemplateEvaluator
  ) throws(ChatTemplateError) -> [TemplateValue?] {
    guard positional.count <= names.count else {
      throw context.failure("\(callee) takes at most \(names.count) arguments, not \(positional.count)")
    }
    var result: [TemplateValue?] = positional
    result += [TemplateValue?](repeating: nil, count: names.count - positional.count)
    for (name, value) in keyword {
      guard let position = names.firstIndex(of: name) else {
        throw context.failure("\(callee) has no argument '\(name)'")
      }
      guard result[position] == nil else { throw context.failure("\(callee) got two values for '\(name)'") }
      result[position] = value
    }
    for position in 0..<required where result[position] == nil {
      throw context.failure("\(callee) needs the argument '\(names[position])'")
    }
    return result
  }
}
