import Glibc

/// The operators `+ - * / // % **` with Python's rules; an integer that leaves 64 bits is an error.
extension TemplateEvaluator {
  mutating func apply(
    _ operation: TemplateArithmetic, _ a: TemplateValue, _ b: TemplateValue
  ) throws(ChatTemplateError) -> TemplateValue {
    if let x = a.integer, let y = b.integer { return try integers(operation, x, y) }
    if let x = a.number, let y = b.number { return .float(try floats(operation, x, y)) }
    switch (operation, a, b) {
    case (_, .undefined(let what), _), (_, _, .undefined(let what)):
      if case (.modulo, .string(let format)) = (operation, a) { return .string(try percentFormat(format, b)) }
      throw failure(what)
    case (.add, .string(let x), .string(let y)):
      try build(bytes: x.utf8.count + y.utf8.count)
      return .string(x + y)
    case (.add, .list(let x), .list(let y)): return try list(x.elements + y.elements)
    case (.add, .tuple(let x), .tuple(let y)): return try tuple(x.elements + y.elements)
    case (.modulo, .string(let format), _): return .string(try percentFormat(format, b))
    case (.multiply, _, _):
      if let count = b.integer { return try repeated(a, count) }
      if let count = a.integer { return try repeated(b, count) }
    default: break
    }
    throw failure("'\(operation.rawValue)' is not defined between '\(a.typeName)' and '\(b.typeName)'")
  }

  private mutating func repeated(_ value: TemplateValue, _ count: Int) throws(ChatTemplateError) -> TemplateValue {
    let count = max(count, 0)
    switch value {
    case .string(let text):
      try build(bytes: text.utf8.count, times: count)
      return .string(String(repeating: text, count: count))
    case .list(let list): return try self.list(try repeated(list.elements, count))
    case .tuple(let list): return try tuple(try repeated(list.elements, count))
    default: throw failure("'*' is not defined between '\(value.typeName)' and 'int'")
    }
  }

  private mutating func repeated(
    _ elements: [TemplateValue], _ count: Int
  ) throws(ChatTemplateError) -> [TemplateValue] {
    try build(bytes: elements.count * MemoryLayout<TemplateValue>.stride, times: count)
    var result: [TemplateValue] = []
    for _ in 0..<(elements.isEmpty ? 0 : count) { result += elements }
    return result
  }

  // MARK: Integers

  private func integers(_ operation: TemplateArithmetic, _ x: Int, _ y: Int) throws(ChatTemplateError) -> TemplateValue
  {
    switch operation {
    case .add: return .integer(try checked(x.addingReportingOverflow(y)))
    case .subtract: return .integer(try checked(x.subtractingReportingOverflow(y)))
    case .multiply: return .integer(try checked(x.multipliedReportingOverflow(by: y)))
    case .divide:
      guard y != 0 else { throw failure("division by zero") }
      return .float(Double(x) / Double(y))
    case .floorDivide, .modulo:
      guard y != 0 else { throw failure("integer division or modulo by zero") }
      let quotient = try checked(x.dividedReportingOverflow(by: y))
      let remainder = x - quotient * y
      // Python rounds towards minus infinity, the machine towards zero.
      let isOff = remainder != 0 && (remainder < 0) != (y < 0)
      return .integer(operation == .modulo ? remainder + (isOff ? y : 0) : quotient - (isOff ? 1 : 0))
    case .power: return try power(x, y)
    }
  }

  private func checked(_ result: (partialValue: Int, overflow: Bool)) throws(ChatTemplateError) -> Int {
    guard !result.overflow else { throw failure("an integer does not fit 64 bits") }
    return result.partialValue
  }

  private func power(_ base: Int, _ exponent: Int) throws(ChatTemplateError) -> TemplateValue {
    guard exponent >= 0 else {
      guard base != 0 else { throw failure("0 cannot be raised to a negative power") }
      return .float(pow(Double(base), Double(exponent)))
    }
    var result = 1
    var square = base
    var rest = exponent
    while rest > 0 {
      if rest & 1 == 1 { result = try checked(result.multipliedReportingOverflow(by: square)) }
      rest >>= 1
      // The last square is not needed and might overflow.
      if rest > 0 { square = try checked(square.multipliedReportingOverflow(by: square)) }
    }
    return .integer(result)
  }

  // MARK: Floating point

  private func floats(_ operation: TemplateArithmetic, _ x: Double, _ y: Double) throws(ChatTemplateError) -> Double {
    switch operation {
    case .add: return x + y
    case .subtract: return x - y
    case .multiply: return x * y
    case .divide:
      guard y != 0 else { throw failure("float division by zero") }
      return x / y
    case .floorDivide, .modulo:
      guard y != 0 else { throw failure("float floor division or modulo by zero") }
      var remainder = fmod(x, y)
      var quotient = (x - remainder) / y
      if remainder != 0, (remainder < 0) != (y < 0) {
        remainder += y
        quotient -= 1
      }
      return operation == .modulo ? remainder : quotient.rounded()
    case .power:
      if x == 0, y < 0 { throw failure("0.0 cannot be raised to a negative power") }
      if x < 0, y != y.rounded() { throw failure("a negative number to a fractional power is complex") }
      let result = pow(x, y)
      guard result.isFinite || !x.isFinite || !y.isFinite else { throw failure("a power is too large") }
      return result
    }
  }

  mutating func negated(_ value: TemplateValue) throws(ChatTemplateError) -> TemplateValue {
    if let number = value.integer { return .integer(try checked((0).subtractingReportingOverflow(number))) }
    if case .float(let number) = value { return .float(-number) }
    if case .undefined(let what) = value { throw failure(what) }
    throw failure("unary '-' is not defined for '\(value.typeName)'")
  }

  mutating func absolute(_ value: TemplateValue) throws(ChatTemplateError) -> TemplateValue {
    if let number = value.integer, number >= 0 { return .integer(number) }
    if case .float(let number) = value { return .float(number.magnitude) }
    return try negated(value)
  }
}
