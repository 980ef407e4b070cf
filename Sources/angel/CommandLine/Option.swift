/// An option of a command: declared once, it parses, checks, documents and completes itself.
///
/// `static let maximum = Option.integer("max-tokens", default: 256, in: 1...1_000_000, help: "stop after N tokens")`
struct Option<Value: Sendable>: Sendable {
  let declaration: OptionDeclaration
  let defaultValue: Value
  /// The value of the texts given, in order; the last counts unless the option gathers them.
  fileprivate let convert: @Sendable ([String]) -> Value?

  fileprivate init(
    _ name: String, placeholder: String?, expects: String, choices: [String] = [], repeats: Bool = false,
    default defaultValue: Value, defaultText: String?, help: String,
    convert: @escaping @Sendable ([String]) -> Value?
  ) {
    declaration = OptionDeclaration(
      name: name, placeholder: placeholder, expects: expects, choices: choices, repeats: repeats,
      defaultText: defaultText, help: help, accepts: { convert([$0]) != nil })
    self.defaultValue = defaultValue
    self.convert = convert
  }
}

/// What the parser, the help page and the completion scripts know about an option.
struct OptionDeclaration: Sendable {
  let name: String
  /// What stands for the value in the help; nil for a flag.
  let placeholder: String?
  /// The values accepted, in words, for error messages.
  let expects: String
  let choices: [String]
  /// Whether it may be given several times.
  let repeats: Bool
  let defaultText: String?
  let help: String
  let accepts: @Sendable (String) -> Bool

  /// `--max-tokens N`.
  var usage: String { "--\(name)" + (placeholder.map { " \($0)" } ?? "") }
}

extension Option where Value == Bool {
  /// An option without a value.
  static func flag(_ name: String, help: String) -> Self {
    Self(name, placeholder: nil, expects: "no value", default: false, defaultText: nil, help: help) { !$0.isEmpty }
  }
}

extension Option where Value == Int {
  static func integer(
    _ name: String, placeholder: String = "N", default value: Int, in range: ClosedRange<Int>, help: String
  )
    -> Self
  {
    Self(
      name, placeholder: placeholder, expects: integerWords(range), default: value, defaultText: "\(value)", help: help
    ) { texts in texts.last.flatMap { Int($0) }.flatMap { range.contains($0) ? $0 : nil } }
  }
}

extension Option where Value == Int? {
  /// An integer without a default of its own.
  static func integer(_ name: String, placeholder: String = "N", in range: ClosedRange<Int>, help: String) -> Self {
    Self(name, placeholder: placeholder, expects: integerWords(range), default: nil, defaultText: nil, help: help) {
      texts in texts.last.flatMap { Int($0) }.flatMap { range.contains($0) ? .some($0) : nil }
    }
  }
}

extension Option where Value == Double {
  static func number(
    _ name: String, placeholder: String = "X", default value: Double, in range: ClosedRange<Double>, help: String
  )
    -> Self
  {
    Self(
      name, placeholder: placeholder, expects: numberWords(range), default: value, defaultText: short(value), help: help
    ) { texts in texts.last.flatMap { Double($0) }.flatMap { range.contains($0) ? $0 : nil } }
  }
}

extension Option where Value == Double? {
  /// A number without a default of its own.
  static func number(_ name: String, placeholder: String = "X", in range: ClosedRange<Double>, help: String) -> Self {
    Self(name, placeholder: placeholder, expects: numberWords(range), default: nil, defaultText: nil, help: help) {
      texts in texts.last.flatMap { Double($0) }.flatMap { range.contains($0) ? .some($0) : nil }
    }
  }
}

extension Option where Value == String? {
  static func text(_ name: String, placeholder: String, help: String) -> Self {
    Self(name, placeholder: placeholder, expects: "a text", default: nil, defaultText: nil, help: help) { $0.last }
  }
}

extension Option where Value == String {
  static func text(_ name: String, placeholder: String, default value: String, help: String) -> Self {
    Self(name, placeholder: placeholder, expects: "a text", default: value, defaultText: value, help: help) { $0.last }
  }
}

extension Option where Value == [String] {
  /// A text that may be given several times.
  static func texts(_ name: String, placeholder: String, help: String) -> Self {
    Self(
      name, placeholder: placeholder, expects: "a text", repeats: true, default: [], defaultText: nil, help: help
    ) { $0 }
  }
}

extension Option where Value == [Int] {
  /// Integers separated by commas.
  static func integers(
    _ name: String, placeholder: String = "N,…", default value: [Int] = [], in range: ClosedRange<Int>, help: String
  ) -> Self {
    let defaultText = value.isEmpty ? nil : value.map(String.init).joined(separator: ",")
    return Self(
      name, placeholder: placeholder, expects: integerWords(range) + ", several separated by commas", default: value,
      defaultText: defaultText, help: help
    ) { texts in
      guard let text = texts.last else { return nil }
      var numbers: [Int] = []
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        guard let number = Int(part.filter { $0 != " " }), range.contains(number) else { return nil }
        numbers.append(number)
      }
      return numbers
    }
  }
}

extension Option where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  /// One of the cases of an enumeration.
  static func choice(_ name: String, default value: Value, help: String) -> Self {
    let choices = Value.allCases.map(\.rawValue)
    return Self(
      name, placeholder: choices.joined(separator: "|"), expects: choices.joined(separator: ", "), choices: choices,
      default: value, defaultText: value.rawValue, help: help
    ) { texts in texts.last.flatMap { Value(rawValue: $0) } }
  }
}

extension Option {
  /// One of the cases of an enumeration, or none.
  static func choice<Choice>(_ name: String, help: String) -> Self
  where Value == Choice?, Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
    let choices = Choice.allCases.map(\.rawValue)
    return Self(
      name, placeholder: choices.joined(separator: "|"), expects: choices.joined(separator: ", "), choices: choices,
      default: nil, defaultText: nil, help: help
    ) { texts in texts.last.flatMap { Choice(rawValue: $0) }.map { .some($0) } }
  }

  /// An option whose value some type reads itself.
  static func custom(
    _ name: String, placeholder: String, expects: String, choices: [String] = [], default value: Value,
    defaultText: String?, help: String, parse: @escaping @Sendable (String) -> Value?
  ) -> Self {
    Self(
      name, placeholder: placeholder, expects: expects, choices: choices, default: value, defaultText: defaultText,
      help: help
    ) { $0.last.flatMap(parse) }
  }

  /// An option without a default of its own, whose value some type reads itself.
  static func custom<Wrapped>(
    _ name: String, placeholder: String, expects: String, choices: [String] = [], help: String,
    parse: @escaping @Sendable (String) -> Wrapped?
  ) -> Self where Value == Wrapped? {
    Self(
      name, placeholder: placeholder, expects: expects, choices: choices, default: nil, defaultText: nil, help: help
    ) { texts in texts.last.flatMap(parse).map { .some($0) } }
  }
}

private func integerWords(_ range: ClosedRange<Int>) -> String {
  switch (range.lowerBound, range.upperBound) {
  case (.min, .max): "an integer"
  case (let low, .max): "an integer of at least \(low)"
  case (let low, let high): "an integer from \(low) to \(high)"
  }
}

private func numberWords(_ range: ClosedRange<Double>) -> String {
  if range.upperBound == .infinity {
    return range.lowerBound == -.infinity ? "a number" : "a number of at least \(short(range.lowerBound))"
  }
  return "a number from \(short(range.lowerBound)) to \(short(range.upperBound))"
}

/// Without a fraction of zero.
private func short(_ value: Double) -> String { Int(exactly: value).map { "\($0)" } ?? "\(value)" }

/// A command's arguments after parsing; every value has passed its option's own check.
struct Arguments: Sendable {
  /// Arguments that are not options, in order.
  var positionals: [String] = []
  private var given: [String: [String]] = [:]

  /// The option's value, or its default.
  subscript<Value>(option: Option<Value>) -> Value {
    given[option.declaration.name].flatMap(option.convert) ?? option.defaultValue
  }

  /// Whether the option was given at all.
  func has<Value>(_ option: Option<Value>) -> Bool { given[option.declaration.name] != nil }

  /// The positional at `index`, nil when there are fewer.
  func positional(_ index: Int) -> String? { index < positionals.count ? positionals[index] : nil }

  mutating func record(_ value: String, for option: OptionDeclaration) {
    given[option.name, default: []].append(value)
  }
}
