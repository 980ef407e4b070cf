import Glibc

/// The global functions.
enum TemplateFunction: String {
  case range, dict, namespace, cycler, joiner
  case raiseException = "raise_exception"
  case now = "strftime_now"
}

extension TemplateEvaluator {
  mutating func call(
    _ function: TemplateFunction, _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> TemplateValue {
    switch function {
    case .range: return try range(arguments)
    case .dict: return try dictionary(try entries(arguments))
    case .namespace: return try namespace(arguments)
    case .cycler:
      guard !arguments.positional.isEmpty else { throw failure("'cycler' needs at least one item") }
      return try cycler(arguments.positional, isJoiner: false)
    case .joiner:
      let bound = try arguments.bound(to: ["sep"], of: "'joiner'", self)
      return try cycler([.string(""), bound[0] ?? .string(", ")], isJoiner: true)
    case .raiseException:
      let bound = try arguments.bound(to: ["message"], required: 1, of: "'raise_exception'", self)
      throw .raised(message: try text(bound[0] ?? .none))
    case .now:
      let bound = try arguments.bound(to: ["format"], required: 1, of: "'strftime_now'", self)
      return try string(try date(try text(bound[0] ?? .none)))
    }
  }

  private func cycler(_ items: [TemplateValue], isJoiner: Bool) throws(ChatTemplateError) -> TemplateValue {
    .cycler(TemplateCycler(items: items, isJoiner: isJoiner, depth: try nesting(items)))
  }

  /// Jinja2's sandbox refuses longer ranges, too.
  private static let longestRange = 100_000

  private mutating func range(_ arguments: TemplateArguments) throws(ChatTemplateError) -> TemplateValue {
    var numbers: [Int] = []
    for value in arguments.positional {
      guard let number = value.integer else { throw failure("'range' needs integers, not '\(value.typeName)'") }
      numbers.append(number)
    }
    guard (1...3).contains(numbers.count), arguments.keyword.isEmpty else {
      throw failure("'range' takes one to three integers")
    }
    let (start, stop) = numbers.count == 1 ? (0, numbers[0]) : (numbers[0], numbers[1])
    let step = numbers.count == 3 ? numbers[2] : 1
    guard step != 0 else { throw failure("the step of 'range' must not be zero") }
    var elements: [TemplateValue] = []
    var next = start
    while step > 0 ? next < stop : next > stop {
      guard elements.count < Self.longestRange else {
        throw failure("a range longer than \(Self.longestRange) is refused")
      }
      elements.append(.integer(next))
      let (sum, overflow) = next.addingReportingOverflow(step)
      if overflow { break }
      next = sum
    }
    return try list(elements)
  }

  /// The entries `dict(…)` and `namespace(…)` are given: an optional dictionary or pairs, then keywords.
  private mutating func entries(
    _ arguments: TemplateArguments
  ) throws(ChatTemplateError) -> [(key: TemplateValue, value: TemplateValue)] {
    guard arguments.positional.count <= 1 else { throw failure("expected at most one positional argument") }
    var result: [(key: TemplateValue, value: TemplateValue)] = []
    if case .dictionary(let dictionary)? = arguments.positional.first {
      for (key, value) in zip(dictionary.keys, dictionary.values) { result.append((key, value)) }
    } else if let pairs = arguments.positional.first {
      for pair in try countedElements(of: pairs) {
        let elements = try elements(of: pair)
        guard elements.count == 2 else { throw failure("a dictionary is made of pairs") }
        result.append((elements[0], elements[1]))
      }
    }
    for argument in arguments.keyword { result.append((.string(argument.name), argument.value)) }
    return result
  }

  private mutating func namespace(_ arguments: TemplateArguments) throws(ChatTemplateError) -> TemplateValue {
    let namespace = try makeNamespace()
    for entry in try entries(arguments) {
      guard let name = entry.key.string else { throw failure("attributes of a namespace are named by strings") }
      namespace.attributes[name] = entry.value
    }
    return .namespace(namespace)
  }

  private func date(_ format: String) throws(ChatTemplateError) -> String {
    guard !format.isEmpty else { return "" }
    var parts = tm()
    var seconds = now ?? time(nil)
    guard (now == nil ? localtime_r(&seconds, &parts) : gmtime_r(&seconds, &parts)) != nil else {
      throw failure("the date \(seconds) is out of range")
    }
    var buffer = [CChar](repeating: 0, count: 1024)
    let length = strftime(&buffer, buffer.count, format, &parts)
    guard length > 0 else { throw failure("the date format '\(format)' gives nothing or too much") }
    return String(decoding: buffer.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
