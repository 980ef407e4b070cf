/// Methods of Python's strings, lists and dictionaries that templates call, and those the sandbox refuses.
enum TemplateMethods {
  typealias TextMethod =
    @Sendable (String, TemplateArguments, inout TemplateEvaluator) throws(ChatTemplateError) -> TemplateValue

  static func exists(_ name: String, on value: TemplateValue) -> Bool {
    switch value {
    case .string: TemplateStringMethods.table[name] != nil || unsupportedText.contains(name)
    case .dictionary: ["items", "keys", "values", "get", "copy"].contains(name)
    case .list: ["index", "count", "copy"].contains(name)
    case .tuple: ["index", "count"].contains(name)
    default: false
    }
  }

  /// Methods that change their receiver, which an immutable sandbox hides.
  static func refused(_ name: String, by value: TemplateValue) -> Bool {
    switch value {
    case .list: ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"].contains(name)
    case .dictionary: ["clear", "pop", "popitem", "setdefault", "update"].contains(name)
    default: false
    }
  }

  /// Methods that exist in Python and are refused by name when called.
  private static let unsupportedText: Set<String> = [
    "encode", "expandtabs", "format_map", "isidentifier", "maketrans", "translate",
  ]
}

extension TemplateEvaluator {
  mutating func call(
    _ name: String, of receiver: TemplateValue, _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> TemplateValue {
    switch receiver {
    case .string(let text):
      guard let method = TemplateStringMethods.table[name] else {
        throw .unsupported(line: line, construct: "the string method '\(name)'")
      }
      try work(bytes: text.utf8.count)
      return try method(text, arguments, &self)
    case .dictionary(let dictionary): return try call(name, of: dictionary, arguments)
    case .list(let list), .tuple(let list): return try call(name, of: list, arguments)
    case .loop(let loop): return try call(name, of: loop, arguments)
    case .cycler(let cycler): return step(cycler, name)
    default: throw failure("'\(receiver.objectName)' has no method '\(name)'")
    }
  }

  private mutating func call(
    _ name: String, of dictionary: TemplateDictionary, _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> TemplateValue {
    switch name {
    case "items": return try list(try pairs(of: dictionary))
    case "keys": return try list(dictionary.keys)
    case "values": return try list(dictionary.values)
    case "copy": return .dictionary(dictionary)
    default:
      let bound = try arguments.bound(to: ["key", "default"], required: 1, of: "'get'", self)
      return dictionary.value(at: try key(bound[0] ?? .none)) ?? bound[1] ?? .none
    }
  }

  private mutating func call(
    _ name: String, of list: TemplateList, _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> TemplateValue {
    if name == "copy" { return .list(list) }
    let bound = try arguments.bound(to: ["value"], required: 1, of: "'\(name)'", self)
    var count = 0
    for (position, element) in list.elements.enumerated() where try equal(element, bound[0] ?? .none) {
      if name == "index" { return .integer(position) }
      count += 1
    }
    guard name == "count" else { throw failure("the value is not in the list") }
    return .integer(count)
  }

  private mutating func call(
    _ name: String, of loop: TemplateLoopState, _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> TemplateValue {
    let values = arguments.positional
    if name == "cycle" {
      guard !values.isEmpty else { throw failure("'loop.cycle' needs at least one item") }
      return values[loop.index % values.count]
    }
    defer { loop.lastChanged = values }
    guard let last = loop.lastChanged else { return .bool(true) }
    return .bool(try !equal(try list(last), try list(values)))
  }

  private func step(_ cycler: TemplateCycler, _ name: String) -> TemplateValue {
    guard name == "next" else {
      cycler.position = 0
      return .none
    }
    defer { cycler.position = (cycler.position + 1) % cycler.items.count }
    return cycler.items[cycler.position]
  }
}
