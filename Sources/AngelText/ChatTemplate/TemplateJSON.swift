/// How `tojson` writes; the defaults are those of Python's `json.dumps` with `ensure_ascii=False`.
struct TemplateJSONStyle {
  var isASCII = false
  var sortsKeys = false
  var indentation: String?
  var itemSeparator = ", "
  var keySeparator = ": "
}

extension TemplateEvaluator {
  mutating func writeJSON(
    _ value: TemplateValue, _ style: TemplateJSONStyle, level: Int, to result: inout String
  ) throws(ChatTemplateError) {
    try step()
    let start = result.utf8.count
    switch value {
    case .none: result += "null"
    case .bool(let flag): result += flag ? "true" : "false"
    case .integer(let number): result += String(number)
    case .float(let number): result += Self.json(number)
    case .string(let text):
      try work(bytes: text.utf8.count)
      Self.writeJSON(text, isASCII: style.isASCII, to: &result)
    case .list(let list), .tuple(let list): return try writeJSON(list.elements, style, level: level, to: &result)
    case .dictionary(let dictionary): return try writeJSON(dictionary, style, level: level, to: &result)
    case .undefined, .iterator, .namespace, .loop, .cycler, .macro, .function, .method:
      throw failure("object of type '\(value.typeName)' is not JSON serializable")
    }
    try build(bytes: result.utf8.count - start)
  }

  private static func json(_ number: Double) -> String {
    number.isFinite ? PythonNumber.text(number) : number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
  }

  private mutating func breakLine(
    _ style: TemplateJSONStyle, level: Int, to result: inout String
  ) throws(ChatTemplateError) {
    guard let indentation = style.indentation else { return }
    try build(bytes: indentation.utf8.count, times: level)
    result += "\n" + String(repeating: indentation, count: level)
  }

  private mutating func writeJSON(
    _ elements: [TemplateValue], _ style: TemplateJSONStyle, level: Int, to result: inout String
  ) throws(ChatTemplateError) {
    guard !elements.isEmpty else { return result += "[]" }
    result += "["
    for (position, element) in elements.enumerated() {
      if position > 0 { result += style.itemSeparator }
      try build(bytes: style.itemSeparator.utf8.count)
      try breakLine(style, level: level + 1, to: &result)
      try writeJSON(element, style, level: level + 1, to: &result)
    }
    try breakLine(style, level: level, to: &result)
    result += "]"
  }

  private mutating func writeJSON(
    _ dictionary: TemplateDictionary, _ style: TemplateJSONStyle, level: Int, to result: inout String
  ) throws(ChatTemplateError) {
    guard !dictionary.keys.isEmpty else { return result += "{}" }
    result += "{"
    var order: [TemplateValue] = dictionary.keys.indices.map { .integer($0) }
    if style.sortsKeys { order = try sorted(order, by: dictionary.keys, descending: false) }
    for (position, entry) in order.compactMap(\.integer).enumerated() {
      if position > 0 { result += style.itemSeparator }
      try build(bytes: style.itemSeparator.utf8.count + style.keySeparator.utf8.count)
      try breakLine(style, level: level + 1, to: &result)
      Self.writeJSON(try jsonKey(dictionary.keys[entry]), isASCII: style.isASCII, to: &result)
      result += style.keySeparator
      try writeJSON(dictionary.values[entry], style, level: level + 1, to: &result)
    }
    try breakLine(style, level: level, to: &result)
    result += "}"
  }

  private mutating func jsonKey(_ key: TemplateValue) throws(ChatTemplateError) -> String {
    switch key {
    case .none: return "null"
    case .bool(let flag): return flag ? "true" : "false"
    case .integer(let number): return String(number)
    case .float(let number): return Self.json(number)
    case .string(let text):
      try build(bytes: text.utf8.count)
      return text
    default: throw failure("a JSON key must be a string or number, not '\(key.typeName)'")
    }
  }

  private static func writeJSON(_ text: String, isASCII: Bool, to result: inout String) {
    result += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{08}": result += "\\b"
      case "\u{0C}": result += "\\f"
      default:
        if scalar.value >= 0x20, scalar.isASCII || !isASCII {
          result.unicodeScalars.append(scalar)
        } else {
          for unit in String(scalar).utf16 { result += "\\u" + PythonText.hexadecimal(UInt32(unit), width: 4) }
        }
      }
    }
    result += "\""
  }
}
