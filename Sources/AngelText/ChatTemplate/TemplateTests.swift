/// The built-in tests (`value is …`) by name.
enum TemplateTests {
  typealias Test =
    @Sendable (TemplateValue, TemplateArguments, inout TemplateEvaluator) throws(ChatTemplateError) -> Bool

  static let table: [String: Test] = [
    "boolean": kind { if case .bool = $0 { true } else { false } },
    "callable": kind { $0.isCallable },
    "defined": kind { !$0.isUndefined },
    "divisibleby": divisibleBy,
    "eq": comparison(.equal),
    "equalto": comparison(.equal),
    "escaped": kind { _ in false },
    "even": { value, arguments, context throws(ChatTemplateError) in try remainder(value, 2, &context) == 0 },
    "false": kind { if case .bool(false) = $0 { true } else { false } },
    "filter": kind { $0.string.map { TemplateFilters.table[$0] != nil } ?? false },
    "float": kind { if case .float = $0 { true } else { false } },
    "ge": comparison(.greaterOrEqual),
    "greaterthan": comparison(.greater),
    "gt": comparison(.greater),
    "in": comparison(.contained),
    "integer": kind { if case .integer = $0 { true } else { false } },
    "iterable": kind { $0.isIterable },
    "le": comparison(.lessOrEqual),
    "lessthan": comparison(.less),
    "lower": { value, _, context throws(ChatTemplateError) in PythonText.isLower(try context.text(value)) },
    "lt": comparison(.less),
    "mapping": kind { if case .dictionary = $0 { true } else { false } },
    "ne": comparison(.unequal),
    "none": kind { if case .none = $0 { true } else { false } },
    "number": kind { $0.isNumber },
    "odd": { value, arguments, context throws(ChatTemplateError) in try remainder(value, 2, &context) == 1 },
    "sameas": same,
    "sequence": kind { $0.isSequence },
    "string": kind { $0.string != nil },
    "test": kind { $0.string.map { knows($0) } ?? false },
    "true": kind { if case .bool(true) = $0 { true } else { false } },
    "undefined": kind { $0.isUndefined },
    "upper": { value, _, context throws(ChatTemplateError) in PythonText.isUpper(try context.text(value)) },
  ]

  private static func knows(_ name: String) -> Bool { table[name] != nil }

  /// A test of the value alone.
  private static func kind(_ test: @escaping @Sendable (TemplateValue) -> Bool) -> Test {
    { value, arguments, context throws(ChatTemplateError) in
      _ = try arguments.bound(to: [], of: "the test", context)
      return test(value)
    }
  }

  private static func comparison(_ operation: TemplateComparison) -> Test {
    { value, arguments, context throws(ChatTemplateError) in
      let bound = try arguments.bound(to: ["other"], required: 1, of: "the test", context)
      return try context.compare(value, operation, bound[0] ?? .none)
    }
  }

  private static func remainder(
    _ value: TemplateValue, _ divisor: Int, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> Double? { try context.apply(.modulo, value, .integer(divisor)).number }

  @Sendable private static func divisibleBy(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> Bool {
    let bound = try arguments.bound(to: ["num"], required: 1, of: "the test 'divisibleby'", context)
    return try context.apply(.modulo, value, bound[0] ?? .none).number == 0
  }

  /// Identity; equal values of one type stand in for it, since plain values have none.
  @Sendable private static func same(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> Bool {
    let bound = try arguments.bound(to: ["other"], required: 1, of: "the test 'sameas'", context)
    let other = bound[0] ?? .none
    guard value.typeName == other.typeName else { return false }
    return try context.equal(value, other)
  }
}

extension TemplateValue {
  fileprivate var isCallable: Bool {
    switch self {
    case .macro, .function, .method, .undefined: true
    case .cycler(let cycler): cycler.isJoiner
    case .none, .bool, .integer, .float, .string, .list, .tuple, .iterator, .dictionary, .namespace, .loop: false
    }
  }

  fileprivate var isSequence: Bool {
    switch self {
    case .undefined, .string, .list, .tuple, .dictionary: true
    case .none, .bool, .integer, .float, .iterator, .namespace, .loop, .cycler, .macro, .function, .method: false
    }
  }

  fileprivate var isIterable: Bool {
    switch self {
    case .iterator, .loop: true
    default: isSequence
    }
  }
}
