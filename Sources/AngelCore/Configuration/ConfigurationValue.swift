/// A type that a field of a configuration may have.
public protocol ConfigurationValue: Sendable {
  /// The values accepted, in words: "a whole number".
  static var expects: String { get }
  /// The value that was written, nil when it is of another kind.
  init?(recipe node: RecipeNode)
  /// The value as it is shown and written back.
  var json: JSONValue { get }
}

extension Int: ConfigurationValue {
  public static var expects: String { "a whole number" }
  public init?(recipe node: RecipeNode) {
    switch node.content {
    case .integer(let value): self = value
    case .number(let value):
      guard let whole = Int(exactly: value) else { return nil }
      self = whole
    default: return nil
    }
  }
  public var json: JSONValue { .integer(self) }
}

extension Double: ConfigurationValue {
  public static var expects: String { "a number" }
  public init?(recipe node: RecipeNode) {
    switch node.content {
    case .integer(let value): self = Double(value)
    case .number(let value): self = value
    default: return nil
    }
  }
  public var json: JSONValue { .number(self) }
}

extension Bool: ConfigurationValue {
  public static var expects: String { "true or false" }
  public init?(recipe node: RecipeNode) {
    guard case .bool(let value) = node.content else { return nil }
    self = value
  }
  public var json: JSONValue { .bool(self) }
}

extension String: ConfigurationValue {
  public static var expects: String { "a text" }
  public init?(recipe node: RecipeNode) {
    switch node.content {
    case .string(let text): self = text
    // A file or a run may be named by a number.
    case .integer(let value): self = String(value)
    default: return nil
    }
  }
  public var json: JSONValue { .string(self) }
}

extension Optional: ConfigurationValue where Wrapped: ConfigurationValue {
  public static var expects: String { Wrapped.expects }
  public init?(recipe node: RecipeNode) {
    if case .null = node.content {
      self = Wrapped?.none
      return
    }
    guard let value = Wrapped(recipe: node) else { return nil }
    self = Wrapped?.some(value)
  }
  public var json: JSONValue { self?.json ?? .null }
}

extension Array: ConfigurationValue where Element: ConfigurationValue {
  public static var expects: String { "a list, each \(Element.expects)" }
  /// A single value stands for a list of one.
  public init?(recipe node: RecipeNode) {
    guard case .list(let nodes) = node.content else {
      guard let only = Element(recipe: node) else { return nil }
      self = [only]
      return
    }
    self = nodes.compactMap(Element.init(recipe:))
    guard count == nodes.count else { return nil }
  }
  public var json: JSONValue { .array(map(\.json)) }
}

/// An enumeration that is written by the names of its cases.
public protocol ConfigurationChoice: ConfigurationValue, RawRepresentable, CaseIterable where RawValue == String {}

extension ConfigurationChoice {
  public static var expects: String { "one of " + allCases.map(\.rawValue).joined(separator: ", ") }
  public init?(recipe node: RecipeNode) {
    guard case .string(let name) = node.content else { return nil }
    self.init(rawValue: name)
  }
  public var json: JSONValue { .string(rawValue) }
}
