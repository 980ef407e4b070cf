/// Filters on text. All take `str(value)`, so an undefined value is empty text.
extension TemplateFilters {
  @Sendable static func string(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { .string(try context.text(value)) }

  @Sendable static func upper(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { try context.string(try context.text(value).uppercased()) }

  @Sendable static func lower(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { try context.string(try context.text(value).lowercased()) }

  @Sendable static func capitalize(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    try context.string(PythonText.capitalized(try context.text(value)))
  }

  /// Unlike `str.title`, only space, hyphens and opening brackets begin a word.
  @Sendable static func title(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    var result = ""
    var isInside = false
    for scalar in try context.text(value).unicodeScalars {
      result += isInside ? scalar.properties.lowercaseMapping : scalar.properties.uppercaseMapping
      isInside = !(PythonText.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar))
    }
    return try context.string(result)
  }

  @Sendable static func trim(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["chars"], of: "the filter 'trim'", context)
    return try context.string(PythonText.strip(try context.text(value), bound[0]?.string))
  }

  @Sendable static func replace(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["old", "new", "count"], required: 2, of: "the filter 'replace'", context)
    let (text, old, new) = (
      try context.text(value), try context.text(bound[0] ?? .none), try context.text(bound[1] ?? .none)
    )
    return .string(try context.replaced(text, old, new, limit: bound[2]?.integer))
  }

  @Sendable static func escape(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    var result = ""
    for scalar in try context.text(value).unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "'": result += "&#39;"
      case "\"": result += "&#34;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return try context.string(result)
  }

  @Sendable static func indent(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["width", "first", "blank"], of: "the filter 'indent'", context)
    let text = try context.text(value)
    let lines = PythonText.lines(text + "\n")
    let width = bound[0]?.integer ?? 4
    let unit = bound[0]?.string?.utf8.count ?? max(width, 0)
    try context.build(bytes: unit, times: lines.count + 1)
    let indentation = bound[0]?.string ?? String(repeating: " ", count: max(width, 0))
    let (first, blank) = (bound[1]?.isTrue ?? false, bound[2]?.isTrue ?? false)
    var result = ""
    for (position, line) in lines.enumerated() {
      if position > 0 { result += "\n" }
      let isIndented = position == 0 ? first : blank || !line.isEmpty
      result += isIndented ? indentation + line : line
    }
    return try context.string(result)
  }

  @Sendable static func center(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["width"], of: "the filter 'center'", context)
    return .string(try context.centered(try context.text(value), width: bound[0]?.integer ?? 80, fill: " "))
  }

  @Sendable static func wordCount(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    var count = 0
    var isInside = false
    for scalar in try context.text(value).unicodeScalars {
      let isWord = PythonText.isWord(scalar)
      if isWord, !isInside { count += 1 }
      isInside = isWord
    }
    return .integer(count)
  }

  /// `"%s"|format(x)`: Python's `%` with a tuple or a dictionary.
  @Sendable static func format(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let format = try context.text(value)
    guard !arguments.keyword.isEmpty else {
      return .string(try context.percentFormat(format, try context.tuple(arguments.positional)))
    }
    guard arguments.positional.isEmpty else { throw context.failure("'format' takes positions or names, not both") }
    var entries: [(key: TemplateValue, value: TemplateValue)] = []
    for argument in arguments.keyword { entries.append((.string(argument.name), argument.value)) }
    return .string(try context.percentFormat(format, try context.dictionary(entries)))
  }

  @Sendable static func toJSON(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"]
    let bound = try arguments.bound(to: names, of: "the filter 'tojson'", context)
    var style = TemplateJSONStyle()
    style.isASCII = bound[0]?.isTrue ?? false
    style.sortsKeys = bound[3]?.isTrue ?? false
    if let width = bound[1]?.integer {
      try context.build(bytes: max(width, 0))
      style.indentation = String(repeating: " ", count: max(width, 0))
    } else {
      style.indentation = bound[1]?.string
    }
    if style.indentation != nil { style.itemSeparator = "," }
    switch bound[2] {
    case .list(let pair)?, .tuple(let pair)?:
      guard pair.elements.count == 2, let item = pair.elements[0].string, let key = pair.elements[1].string else {
        throw context.failure("'separators' must be two strings")
      }
      (style.itemSeparator, style.keySeparator) = (item, key)
    case nil, .some(.none): break
    default: throw context.failure("'separators' must be two strings")
    }
    var result = ""
    try context.writeJSON(value, style, level: 0, to: &result)
    return .string(result)
  }
}

extension TemplateEvaluator {
  /// `str.replace`, its result counted before it is built.
  mutating func replaced(_ text: String, _ old: String, _ new: String, limit: Int?) throws(ChatTemplateError) -> String
  {
    try work(bytes: text.utf8.count)
    let limit = limit.map { $0 < 0 ? Int.max : $0 } ?? .max
    try build(bytes: new.utf8.count, times: min(limit, PythonText.count(of: old, in: text)))
    try build(bytes: text.utf8.count)
    return PythonText.replace(text, old, with: new, limit: limit)
  }

  mutating func centered(_ text: String, width: Int, fill: Unicode.Scalar) throws(ChatTemplateError) -> String {
    let missing = max(0, width - text.unicodeScalars.count)
    // Python puts the odd one on the left when the width is odd.
    let left = missing / 2 + (missing & width & 1)
    return try padded(text, left: left, right: missing - left, fill: fill)
  }

  mutating func padded(
    _ text: String, left: Int, right: Int, fill: Unicode.Scalar
  ) throws(ChatTemplateError) -> String {
    try build(bytes: left + right, times: 4)
    try build(bytes: text.utf8.count)
    let fill = String(fill)
    return String(repeating: fill, count: left) + text + String(repeating: fill, count: right)
  }
}
