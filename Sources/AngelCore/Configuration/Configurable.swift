/// A component's settings: a plain struct with defaults, and one line a field that says how it is written in a recipe.
///
/// ```swift
/// struct OptimizerConfiguration: Configurable {
///   var learningRate = 1e-3
///   static let fields: [ConfigurationField<Self>] = [
///     .value("learning_rate", \.learningRate, in: 0...10, "the highest learning rate"),
///   ]
/// }
/// ```
public protocol Configurable: Sendable {
  /// All defaults.
  init()
  /// Every field, in the order in which it is shown.
  static var fields: [ConfigurationField<Self>] { get }
  /// Problems between fields; each one line that names the fields, the values and the remedy.
  func problems() -> [String]
}

extension Configurable {
  public func problems() -> [String] { [] }

  /// The configuration a recipe asks for: its values over the defaults.
  ///
  /// - Throws: `ConfigurationError` with every problem found: unknown keys with the nearest known one, values of a wrong
  ///   kind or out of range, and what `problems()` says.
  public init(recipe node: RecipeNode) throws {
    self.init()
    var problems: [String] = []
    read(node, path: "", into: &problems)
    if problems.isEmpty { problems = self.problems() }
    guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
  }

  mutating func read(_ node: RecipeNode, path: String, into problems: inout [String]) {
    guard case .map(let entries) = node.content else {
      problems.append("\(node.origin): \(path.isEmpty ? "a recipe" : path) must be a group of keys, not \(node.kind)")
      return
    }
    for entry in entries {
      guard let field = Self.fields.first(where: { $0.name == entry.key }) else {
        problems.append(Self.unknown(entry, path: path))
        continue
      }
      field.read(entry.value, path + field.name, &self, &problems)
    }
  }

  private static func unknown(_ entry: RecipeNode.Entry, path: String) -> String {
    let names = fields.map(\.name)
    let near = Suggestion.nearest(to: entry.key, among: names, limit: 1).first
    let remedy = near.map { "; did you mean \(path)\($0)?" } ?? "; known here: " + names.joined(separator: ", ")
    return "\(entry.origin): unknown key \(quoted(path + entry.key))\(remedy)"
  }

  /// Every field with its value, defaults included.
  public var json: JSONValue {
    .object(JSONObject(Self.fields.map { ($0.name, $0.json(self)) }))
  }
}

/// One field of a configuration: its key, its place in the struct, and one line of explanation.
public struct ConfigurationField<Root>: Sendable {
  /// Where a field lies in the struct.
  public typealias Place<Value> = any WritableKeyPath<Root, Value> & Sendable

  /// The key, in words with underscores.
  public let name: String
  /// One line for people.
  public let summary: String
  /// The values accepted, in words.
  public let expects: String
  /// The fields of a nested configuration and of those nested in it, for help pages: key and summary.
  public let nested: [(name: String, summary: String, expects: String)]
  let read: @Sendable (RecipeNode, _ path: String, inout Root, _ problems: inout [String]) -> Void
  let json: @Sendable (Root) -> JSONValue

  /// A value.
  public static func value<Value: ConfigurationValue>(
    _ name: String, _ place: Place<Value>, _ summary: String
  ) -> Self {
    Self(
      name: name, summary: summary, expects: Value.expects, nested: [],
      read: { node, path, root, problems in
        guard let value = Value(recipe: node) else {
          problems.append("\(node.origin): \(path) is \(node.kind), expected \(Value.expects)")
          return
        }
        root[keyPath: place] = value
      }, json: { $0[keyPath: place].json })
  }

  /// A number within bounds.
  public static func value<Value: ConfigurationValue & Comparable>(
    _ name: String, _ place: Place<Value>, in range: ClosedRange<Value>, _ summary: String
  ) -> Self {
    bounded(name, place, words: words(range), summary) { range.contains($0) }
  }

  /// A number within bounds, or nothing.
  public static func value<Value: ConfigurationValue & Comparable>(
    _ name: String, _ place: Place<Value?>, in range: ClosedRange<Value>, _ summary: String
  ) -> Self {
    bounded(name, place, words: words(range), summary) { $0.map(range.contains) ?? true }
  }

  private static func words<Value: ConfigurationValue>(_ range: ClosedRange<Value>) -> String {
    "\(Value.expects) from \(range.lowerBound.json.encoded()) to \(range.upperBound.json.encoded())"
  }

  private static func bounded<Value: ConfigurationValue>(
    _ name: String, _ place: Place<Value>, words: String, _ summary: String,
    _ accepts: @escaping @Sendable (Value) -> Bool
  ) -> Self {
    Self(
      name: name, summary: summary, expects: words, nested: [],
      read: { node, path, root, problems in
        guard let value = Value(recipe: node), accepts(value) else {
          problems.append("\(node.origin): \(path) is \(node.kind), expected \(words)")
          return
        }
        root[keyPath: place] = value
      }, json: { $0[keyPath: place].json })
  }

  /// A nested configuration.
  public static func group<Value: Configurable>(
    _ name: String, _ place: Place<Value>, _ summary: String
  ) -> Self {
    Self(
      name: name, summary: summary, expects: "a group of keys", nested: nested(Value.self),
      read: { node, path, root, problems in root[keyPath: place].read(node, path: path + ".", into: &problems) },
      json: { $0[keyPath: place].json })
  }

  /// A nested configuration that is absent unless the recipe has it.
  public static func group<Value: Configurable>(
    _ name: String, _ place: Place<Value?>, _ summary: String
  ) -> Self {
    Self(
      name: name, summary: summary, expects: "a group of keys", nested: nested(Value.self),
      read: { node, path, root, problems in
        if case .null = node.content {
          root[keyPath: place] = nil
          return
        }
        var value = root[keyPath: place] ?? Value()
        value.read(node, path: path + ".", into: &problems)
        root[keyPath: place] = value
      }, json: { $0[keyPath: place]?.json ?? .null })
  }

  static func nested<Value: Configurable>(
    _ type: Value.Type
  ) -> [(name: String, summary: String, expects: String)] {
    Value.fields.flatMap { field in
      [(field.name, field.summary, field.expects)]
        + field.nested.map { ("\(field.name).\($0.name)", $0.summary, $0.expects) }
    }
  }
}
