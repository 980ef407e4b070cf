/// One replacement in a format: fill, alignment, width, precision and type, as Python's format specifications have
/// them.
struct PythonFormatSpecification {
  var fill: Unicode.Scalar = " "
  var alignment: Unicode.Scalar?
  var sign: Unicode.Scalar = "-"
  var isAlternate = false
  var groups = false
  var width = 0
  var precision: Int?
  var type: Unicode.Scalar?

  /// Parses `[[fill]align][sign][#][0][width][,][.precision][type]`; nil if it is not one.
  init?(_ text: String) {
    var rest = Array(text.unicodeScalars)[...]
    let alignments: [Unicode.Scalar] = ["<", ">", "^", "="]
    if rest.count > 1, alignments.contains(rest[1]) {
      fill = rest[0]
      alignment = rest[1]
      rest = rest.dropFirst(2)
    } else if let first = rest.first, alignments.contains(first) {
      alignment = first
      rest = rest.dropFirst()
    }
    if let first = rest.first, ["+", "-", " "].contains(first) { sign = rest.removeFirst() }
    if rest.first == "#" {
      isAlternate = true
      rest = rest.dropFirst()
    }
    if rest.first == "0" {
      rest = rest.dropFirst()
      if alignment == nil { (fill, alignment) = ("0", "=") }
    }
    guard let width = Self.number(&rest) else { return nil }
    self.width = width ?? 0
    if rest.first == "," {
      groups = true
      rest = rest.dropFirst()
    }
    if rest.first == "." {
      rest = rest.dropFirst()
      guard let precision = Self.number(&rest), let precision else { return nil }
      self.precision = precision
    }
    type = rest.popFirst()
    guard rest.isEmpty else { return nil }
  }

  init() {}

  /// Digits at the front: nil inside if there are none, nil outside if they are too many.
  static func number(_ rest: inout ArraySlice<Unicode.Scalar>) -> Int?? {
    let digits = rest.prefix { ("0"..."9").contains($0) }
    rest = rest.dropFirst(digits.count)
    if digits.isEmpty { return .some(nil) }
    return Int(PythonText.string(digits)).map { .some($0) } ?? nil
  }
}

extension TemplateEvaluator {
  // MARK: "%s" % value

  /// Python's `format % values`.
  mutating func percentFormat(_ format: String, _ values: TemplateValue) throws(ChatTemplateError) -> String {
    var operands: [TemplateValue] = if case .tuple(let list) = values { list.elements } else { [values] }
    operands.reverse()
    var usesNames = false
    var result = ""
    var rest = Array(format.unicodeScalars)[...]
    try work(bytes: format.utf8.count)
    while let scalar = rest.popFirst() {
      guard scalar == "%" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      if rest.first == "%" {
        rest = rest.dropFirst()
        result += "%"
        continue
      }
      let name = try percentName(&rest)
      let specification = try percentSpecification(&rest)
      let operand: TemplateValue
      if let name {
        guard case .dictionary(let dictionary) = values, let value = dictionary.value(named: name) else {
          throw failure("the format has no value for '\(name)'")
        }
        usesNames = true
        operand = value
      } else {
        guard let next = operands.popLast() else { throw failure("not enough values for the format") }
        operand = next
      }
      result += try formatted(operand, specification, isPercent: true)
    }
    if !operands.isEmpty, !usesNames, values.formatsByPosition {
      throw failure("not all values of the format were used")
    }
    try build(bytes: result.utf8.count)
    return result
  }

  private func percentName(_ rest: inout ArraySlice<Unicode.Scalar>) throws(ChatTemplateError) -> String? {
    guard rest.first == "(" else { return nil }
    guard let end = rest.firstIndex(of: ")") else { throw failure("a name in the format is not closed") }
    let name = PythonText.string(rest[(rest.startIndex + 1)..<end])
    rest = rest[(end + 1)...]
    return name
  }

  private func percentSpecification(
    _ rest: inout ArraySlice<Unicode.Scalar>
  ) throws(ChatTemplateError) -> PythonFormatSpecification {
    var result = PythonFormatSpecification()
    result.alignment = ">"
    while let flag = rest.first, ["-", "+", " ", "0", "#"].contains(flag) {
      rest = rest.dropFirst()
      switch flag {
      case "-": (result.alignment, result.fill) = ("<", " ")
      case "0": if result.alignment != "<" { (result.alignment, result.fill) = ("=", "0") }
      case "#": result.isAlternate = true
      default: result.sign = flag
      }
    }
    guard let width = PythonFormatSpecification.number(&rest) else {
      throw failure("a width in the format is too large")
    }
    result.width = width ?? 0
    if rest.first == "." {
      rest = rest.dropFirst()
      guard let precision = PythonFormatSpecification.number(&rest) else {
        throw failure("a precision in the format is too large")
      }
      result.precision = precision ?? 0
    }
    guard let type = rest.popFirst() else { throw failure("the format ends after '%'") }
    result.type = type
    return result
  }

  // MARK: "{}".format(value)

  /// Python's `str.format`, with fields by position or name; fields may not reach into attributes.
  mutating func braceFormat(_ format: String, _ arguments: TemplateArguments) throws(ChatTemplateError) -> String {
    var result = ""
    var rest = Array(format.unicodeScalars)[...]
    var next = 0
    try work(bytes: format.utf8.count)
    while let scalar = rest.popFirst() {
      guard scalar == "{" || scalar == "}" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      if rest.first == scalar {
        rest = rest.dropFirst()
        result.unicodeScalars.append(scalar)
        continue
      }
      guard scalar == "{", let end = rest.firstIndex(of: "}") else { throw failure("a single '\(scalar)' in a format") }
      let field = PythonText.string(rest[..<end])
      rest = rest[(end + 1)...]
      result += try braceField(field, arguments, &next)
    }
    try build(bytes: result.utf8.count)
    return result
  }

  private mutating func braceField(
    _ field: String, _ arguments: TemplateArguments, _ next: inout Int
  ) throws(ChatTemplateError) -> String {
    let parts = PythonText.split(field, separator: ":", limit: 1)
    let path = PythonText.split(parts[0], separator: "!", limit: 1)
    var operand = try operand(path[0], arguments, &next)
    if path.count == 2 {
      guard path[1] == "r" || path[1] == "s" else { throw failure("the conversion '!\(path[1])' is not supported") }
      var text = ""
      try write(operand, to: &text, isNested: path[1] == "r")
      operand = .string(text)
    }
    guard let specification = PythonFormatSpecification(parts.count == 2 ? parts[1] : "") else {
      throw failure("'\(parts[1])' is not a format")
    }
    return try formatted(operand, specification, isPercent: false)
  }

  private func operand(
    _ name: String, _ arguments: TemplateArguments, _ next: inout Int
  ) throws(ChatTemplateError) -> TemplateValue {
    if let value = arguments.keyword.first(where: { $0.name == name })?.value { return value }
    let index = name.isEmpty ? next : Int(name)
    if name.isEmpty { next += 1 }
    guard let index, arguments.positional.indices.contains(index) else {
      throw failure("the format has no value for '{\(name)}'")
    }
    return arguments.positional[index]
  }

  // MARK: Both

  private mutating func formatted(
    _ value: TemplateValue, _ style: PythonFormatSpecification, isPercent: Bool
  ) throws(ChatTemplateError) -> String {
    var (sign, body) = ("", "")
    switch style.type {
    case "s", "r":
      try write(value, to: &body, isNested: style.type == "r")
      if let precision = style.precision { body = PythonText.string(body.unicodeScalars.prefix(precision)) }
    case "d", "i", "u", "x", "X", "o", "b": (sign, body) = try integer(value, style, isPercent)
    case "f", "F", "e", "E", "g", "G", "%": (sign, body) = try float(value, style)
    case nil:
      if value.isNumber, !value.isBool {
        (sign, body) = try plainNumber(value, style)
      } else {
        body = try text(value)
        if let precision = style.precision { body = PythonText.string(body.unicodeScalars.prefix(precision)) }
      }
    case let type?: throw failure("the format type '\(type)' is not supported")
    }
    return try aligned(sign, body, style, standard: value.isNumber ? ">" : "<")
  }

  private func signed(_ isNegative: Bool, _ style: PythonFormatSpecification) -> String {
    isNegative ? "-" : style.sign == "-" ? "" : String(style.sign)
  }

  private func plainNumber(
    _ value: TemplateValue, _ style: PythonFormatSpecification
  ) throws(ChatTemplateError) -> (String, String) {
    if value.integer != nil { return try integer(value, style, false) }
    guard let number = value.number else { throw failure("a number is needed") }
    if style.precision != nil {
      var general = style
      general.type = "g"
      return try float(value, general)
    }
    return (signed(number < 0, style), grouped(PythonNumber.text(number.magnitude), style))
  }

  private func integer(
    _ value: TemplateValue, _ style: PythonFormatSpecification, _ isPercent: Bool
  ) throws(ChatTemplateError) -> (String, String) {
    var number = value.integer
    if number == nil, isPercent, case .float(let float) = value { number = Int(exactly: float.rounded(.towardZero)) }
    guard let number else { throw failure("the format needs an integer, not '\(value.typeName)'") }
    let radix = style.type == "x" || style.type == "X" ? 16 : style.type == "o" ? 8 : style.type == "b" ? 2 : 10
    let digits = String(number.magnitude, radix: radix, uppercase: style.type == "X")
    let prefix = style.isAlternate && radix != 10 ? "0" + String(style.type ?? "x") : ""
    return (signed(number < 0, style) + prefix, grouped(digits, style))
  }

  private func float(
    _ value: TemplateValue, _ style: PythonFormatSpecification
  ) throws(ChatTemplateError) -> (String, String) {
    guard var number = value.number else { throw failure("the format needs a number, not '\(value.typeName)'") }
    if style.type == "%" { number *= 100 }
    let type = style.type == "%" ? "f" : Character(style.type ?? "f")
    let body = PythonNumber.fixed(number.magnitude, precision: style.precision ?? 6, style: type)
    return (signed(number.sign == .minus, style), grouped(body, style) + (style.type == "%" ? "%" : ""))
  }

  /// Commas between thousands, if asked for.
  private func grouped(_ digits: String, _ style: PythonFormatSpecification) -> String {
    guard style.groups else { return digits }
    let whole = digits.prefix { $0.isNumber }
    var result = ""
    for (position, digit) in whole.enumerated() {
      if position > 0, (whole.count - position) % 3 == 0 { result += "," }
      result.append(digit)
    }
    return result + digits.dropFirst(whole.count)
  }

  private mutating func aligned(
    _ sign: String, _ body: String, _ style: PythonFormatSpecification, standard: Unicode.Scalar
  ) throws(ChatTemplateError) -> String {
    let missing = max(0, style.width - sign.unicodeScalars.count - body.unicodeScalars.count)
    switch style.alignment ?? standard {
    case "<": return try padded(sign + body, left: 0, right: missing, fill: style.fill)
    case "^": return try padded(sign + body, left: missing / 2, right: missing - missing / 2, fill: style.fill)
    case "=": return sign + (try padded(body, left: missing, right: 0, fill: style.fill))
    default: return try padded(sign + body, left: missing, right: 0, fill: style.fill)
    }
  }
}

extension TemplateValue {
  fileprivate var isBool: Bool { if case .bool = self { true } else { false } }

  /// Whether `%` uses this value up position by position, so that a rest is an error.
  fileprivate var formatsByPosition: Bool { if case .dictionary = self { false } else { true } }
}
