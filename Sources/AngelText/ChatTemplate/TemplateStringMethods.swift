/// The methods of `str`, one line each. Results are counted after they are made where they are no longer than a few
/// times the receiver, and before where an argument sets their size.
enum TemplateStringMethods {
  static let table: [String: TemplateMethods.TextMethod] = [
    "capitalize": mapped(PythonText.capitalized),
    "casefold": mapped { $0.lowercased() },
    "center": { text, arguments, context throws(ChatTemplateError) in
      let (width, fill) = try padding(text, arguments, &context)
      return .string(try context.centered(text, width: width, fill: fill))
    },
    "count": { text, arguments, context throws(ChatTemplateError) in
      .integer(PythonText.count(of: try string(arguments, "sub", &context), in: text))
    },
    "endswith": { text, arguments, context throws(ChatTemplateError) in
      .bool(try affixes(arguments, &context).contains { PythonText.hasSuffix(text, $0) })
    },
    "find": { text, arguments, context throws(ChatTemplateError) in
      .integer(PythonText.index(of: try string(arguments, "sub", &context), in: text, last: false) ?? -1)
    },
    "format": { text, arguments, context throws(ChatTemplateError) in
      .string(try context.braceFormat(text, arguments))
    },
    "index": { text, arguments, context throws(ChatTemplateError) in
      try found(PythonText.index(of: try string(arguments, "sub", &context), in: text, last: false), context)
    },
    "isalnum": all { PythonText.isAlphabetic($0) || $0.properties.numericType != nil },
    "isalpha": all(PythonText.isAlphabetic),
    "isascii": { text, _, _ throws(ChatTemplateError) in .bool(text.utf8.allSatisfy { $0 < 0x80 }) },
    "isdecimal": all { $0.properties.numericType == .decimal },
    "isdigit": all { $0.properties.numericType == .decimal || $0.properties.numericType == .digit },
    "islower": { text, _, _ throws(ChatTemplateError) in .bool(PythonText.isLower(text)) },
    "isnumeric": all { $0.properties.numericType != nil },
    "isspace": all(PythonText.isSpace),
    "istitle": { text, _, _ throws(ChatTemplateError) in
      .bool(
        text.unicodeScalars.contains(where: \.properties.isCased) && PythonText.equal(PythonText.titled(text), text))
    },
    "isupper": { text, _, _ throws(ChatTemplateError) in .bool(PythonText.isUpper(text)) },
    "join": { text, arguments, context throws(ChatTemplateError) in
      let bound = try arguments.bound(to: ["iterable"], required: 1, of: "'join'", context)
      return try join(bound[0] ?? .none, separator: text, &context)
    },
    "ljust": { text, arguments, context throws(ChatTemplateError) in
      let (width, fill) = try padding(text, arguments, &context)
      return .string(try context.padded(text, left: 0, right: missing(text, width), fill: fill))
    },
    "lower": mapped { $0.lowercased() },
    "lstrip": { text, arguments, context throws(ChatTemplateError) in
      try strip(text, arguments, &context, left: true, right: false)
    },
    "partition": { text, arguments, context throws(ChatTemplateError) in
      try partition(text, arguments, &context, last: false)
    },
    "removeprefix": { text, arguments, context throws(ChatTemplateError) in
      let prefix = try string(arguments, "prefix", &context)
      guard PythonText.hasPrefix(text, prefix) else { return .string(text) }
      return try context.string(String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self))
    },
    "removesuffix": { text, arguments, context throws(ChatTemplateError) in
      let suffix = try string(arguments, "suffix", &context)
      guard PythonText.hasSuffix(text, suffix) else { return .string(text) }
      return try context.string(String(decoding: text.utf8.dropLast(suffix.utf8.count), as: UTF8.self))
    },
    "replace": { text, arguments, context throws(ChatTemplateError) in
      let bound = try arguments.bound(to: ["old", "new", "count"], required: 2, of: "'replace'", context)
      guard let old = bound[0]?.string, let new = bound[1]?.string else {
        throw context.failure("'replace' needs two strings")
      }
      return .string(try context.replaced(text, old, new, limit: bound[2]?.integer))
    },
    "rfind": { text, arguments, context throws(ChatTemplateError) in
      .integer(PythonText.index(of: try string(arguments, "sub", &context), in: text, last: true) ?? -1)
    },
    "rindex": { text, arguments, context throws(ChatTemplateError) in
      try found(PythonText.index(of: try string(arguments, "sub", &context), in: text, last: true), context)
    },
    "rjust": { text, arguments, context throws(ChatTemplateError) in
      let (width, fill) = try padding(text, arguments, &context)
      return .string(try context.padded(text, left: missing(text, width), right: 0, fill: fill))
    },
    "rpartition": { text, arguments, context throws(ChatTemplateError) in
      try partition(text, arguments, &context, last: true)
    },
    "rsplit": { text, arguments, context throws(ChatTemplateError) in
      try split(text, arguments, &context, fromEnd: true)
    },
    "rstrip": { text, arguments, context throws(ChatTemplateError) in
      try strip(text, arguments, &context, left: false, right: true)
    },
    "split": { text, arguments, context throws(ChatTemplateError) in
      try split(text, arguments, &context, fromEnd: false)
    },
    "splitlines": { text, arguments, context throws(ChatTemplateError) in
      let bound = try arguments.bound(to: ["keepends"], of: "'splitlines'", context)
      return try context.strings(PythonText.lines(text, keepEnds: bound[0]?.isTrue ?? false))
    },
    "startswith": { text, arguments, context throws(ChatTemplateError) in
      .bool(try affixes(arguments, &context).contains { PythonText.hasPrefix(text, $0) })
    },
    "strip": { text, arguments, context throws(ChatTemplateError) in
      try strip(text, arguments, &context, left: true, right: true)
    },
    "swapcase": mapped(PythonText.swappedCase),
    "title": mapped(PythonText.titled),
    "upper": mapped { $0.uppercased() },
    "zfill": { text, arguments, context throws(ChatTemplateError) in
      let bound = try arguments.bound(to: ["width"], required: 1, of: "'zfill'", context)
      let sign = text.hasPrefix("-") || text.hasPrefix("+") ? String(text.prefix(1)) : ""
      let zeros = missing(text, bound[0]?.integer ?? 0)
      return .string(sign + (try context.padded(String(text.dropFirst(sign.count)), left: zeros, right: 0, fill: "0")))
    },
  ]

  private static func mapped(_ transform: @escaping @Sendable (String) -> String) -> TemplateMethods.TextMethod {
    { text, _, context throws(ChatTemplateError) in try context.string(transform(text)) }
  }

  private static func all(_ test: @escaping @Sendable (Unicode.Scalar) -> Bool) -> TemplateMethods.TextMethod {
    { text, _, _ throws(ChatTemplateError) in .bool(!text.isEmpty && text.unicodeScalars.allSatisfy(test)) }
  }

  private static func string(
    _ arguments: TemplateArguments, _ name: String, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> String {
    let bound = try arguments.bound(to: [name], required: 1, of: "the string method", context)
    guard let text = bound[0]?.string else {
      throw context.failure("the string method needs a string, not '\(bound[0]?.typeName ?? "")'")
    }
    return text
  }

  private static func found(
    _ index: Int?, _ context: borrowing TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    guard let index else { throw context.failure("the substring was not found") }
    return .integer(index)
  }

  /// The one string or tuple of strings that `startswith` and `endswith` take.
  private static func affixes(
    _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> [String] {
    let bound = try arguments.bound(to: ["affix"], required: 1, of: "the string method", context)
    let values: [TemplateValue] = if case .tuple(let list)? = bound[0] { list.elements } else { [bound[0] ?? .none] }
    var result: [String] = []
    for value in values {
      guard let text = value.string else {
        throw context.failure("'startswith' and 'endswith' need a string, not '\(value.typeName)'")
      }
      try context.work(bytes: text.utf8.count)
      result.append(text)
    }
    return result
  }

  private static func missing(_ text: String, _ width: Int) -> Int { max(0, width - text.unicodeScalars.count) }

  private static func padding(
    _ text: String, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> (width: Int, fill: Unicode.Scalar) {
    let bound = try arguments.bound(to: ["width", "fillchar"], required: 1, of: "the string method", context)
    let fill = (bound[1] ?? .string(" ")).string?.unicodeScalars
    guard let width = bound[0]?.integer, let first = fill?.first, fill?.count == 1 else {
      throw context.failure("padding needs a width and at most one character")
    }
    return (width, first)
  }

  private static func strip(
    _ text: String, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator, left: Bool, right: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["chars"], of: "'strip'", context)
    let characters: String?
    switch bound[0] {
    case .string(let text)?: characters = text
    case nil, .some(.none): characters = nil
    case let other?: throw context.failure("'strip' needs a string, not '\(other.typeName)'")
    }
    return try context.string(PythonText.strip(text, characters, left: left, right: right))
  }

  private static func split(
    _ text: String, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator, fromEnd: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["sep", "maxsplit"], of: "'split'", context)
    let limit = bound[1]?.integer.map { $0 < 0 ? Int.max : $0 } ?? .max
    // Each piece is a value of its own, however short.
    try context.build(bytes: text.utf8.count, times: MemoryLayout<TemplateValue>.stride / 2)
    switch bound[0] {
    case .string(let separator)?:
      guard !separator.isEmpty else { throw context.failure("'split' needs a separator that is not empty") }
      return try context.strings(
        fromEnd
          ? PythonText.splitFromEnd(text, separator: separator, limit: limit)
          : PythonText.split(text, separator: separator, limit: limit))
    case nil, .some(.none):
      return try context.strings(
        fromEnd ? PythonText.wordsFromEnd(text, limit: limit) : PythonText.words(text, limit: limit))
    case let other?: throw context.failure("'split' needs a string, not '\(other.typeName)'")
    }
  }

  private static func partition(
    _ text: String, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator, last: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let separator = try string(arguments, "sep", &context)
    guard !separator.isEmpty else { throw context.failure("'partition' needs a separator that is not empty") }
    var pieces =
      last
      ? PythonText.splitFromEnd(text, separator: separator, limit: 1)
      : PythonText.split(text, separator: separator, limit: 1)
    if pieces.count == 2 { pieces.insert(separator, at: 1) } else { pieces = last ? ["", "", text] : [text, "", ""] }
    var values: [TemplateValue] = []
    for piece in pieces { values.append(try context.string(piece)) }
    return try context.tuple(values)
  }

  private static func join(
    _ value: TemplateValue, separator: String, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    if case .undefined(let what) = value { throw context.failure(what) }
    var result = ""
    for (position, element) in try context.countedElements(of: value).enumerated() {
      guard let text = element.string else {
        throw context.failure("'join' needs strings, element \(position) is '\(element.typeName)'")
      }
      try context.build(bytes: separator.utf8.count + text.utf8.count)
      if position > 0 { result += separator }
      result += text
    }
    return .string(result)
  }
}
