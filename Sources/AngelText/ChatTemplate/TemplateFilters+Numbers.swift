/// Filters on numbers.
extension TemplateFilters {
  @Sendable static func absolute(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { try context.absolute(value) }

  @Sendable static func int(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["default", "base"], of: "the filter 'int'", context)
    let otherwise = bound[0] ?? .integer(0)
    switch value {
    case .undefined(let what): throw context.failure(what)
    case .float(let number): return Int(exactly: number.rounded(.towardZero)).map { .integer($0) } ?? otherwise
    case .string(let text):
      if let number = PythonText.integer(text, radix: bound[1]?.integer ?? 10) { return .integer(number) }
      return PythonText.float(text).flatMap { Int(exactly: $0.rounded(.towardZero)) }.map { .integer($0) } ?? otherwise
    default: return value.integer.map { .integer($0) } ?? otherwise
    }
  }

  @Sendable static func float(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["default"], of: "the filter 'float'", context)
    if case .undefined(let what) = value { throw context.failure(what) }
    let number = value.string.map { PythonText.float($0) } ?? value.number
    return number.map { .float($0) } ?? bound[0] ?? .float(0)
  }

  @Sendable static func round(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["precision", "method"], of: "the filter 'round'", context)
    let precision = min(max(bound[0]?.integer ?? 0, -400), 400)
    guard let number = value.number else { throw context.failure("'\(value.typeName)' cannot be rounded") }
    switch bound[1]?.string ?? "common" {
    case "common":
      if let integer = value.integer, precision >= 0 { return .integer(integer) }
      let rounded = PythonNumber.rounded(number, precision: precision)
      return value.integer == nil ? .float(rounded) : Int(exactly: rounded).map { .integer($0) } ?? .float(rounded)
    case "ceil": return .float(scaled(number, precision) { $0.rounded(.up) })
    case "floor": return .float(scaled(number, precision) { $0.rounded(.down) })
    default: throw context.failure("the method of 'round' must be common, ceil or floor")
    }
  }

  private static func scaled(_ number: Double, _ precision: Int, _ round: (Double) -> Double) -> Double {
    let scale = PythonNumber.powerOfTen(precision)
    return round(number * scale) / scale
  }
}

extension PythonText {
  /// `int(text, radix)`: spaces around and single underscores inside are allowed.
  static func integer(_ text: String, radix: Int) -> Int? {
    guard (2...36).contains(radix) else { return nil }
    var digits = strip(text)
    var sign = ""
    if digits.hasPrefix("-") || digits.hasPrefix("+") { sign = String(digits.removeFirst()) }
    let prefix = digits.prefix(2).lowercased()
    if (radix == 16 && prefix == "0x") || (radix == 8 && prefix == "0o") || (radix == 2 && prefix == "0b") {
      digits.removeFirst(2)
    }
    return ungrouped(digits).flatMap { Int(sign + $0, radix: radix) }
  }

  /// `float(text)`.
  static func float(_ text: String) -> Double? {
    let written = strip(text)
    switch written.lowercased() {
    case "inf", "+inf", "infinity", "+infinity": return .infinity
    case "-inf", "-infinity": return -.infinity
    case "nan", "+nan", "-nan": return .nan
    default: break
    }
    // Swift also reads hexadecimal floats, which Python does not.
    guard written.utf8.allSatisfy({ "0123456789+-.eE_".utf8.contains($0) }) else { return nil }
    return ungrouped(written).flatMap(Double.init)
  }

  private static func ungrouped(_ digits: String) -> String? {
    guard let first = digits.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") || digits.utf8.count > 1
    else { return nil }
    guard !digits.hasPrefix("_"), !digits.hasSuffix("_"), !contains(digits, "__") else { return nil }
    return digits.filter { $0 != "_" }
  }
}
