/// A value of a recipe together with where it was written, so that every complaint can point there.
public struct RecipeNode: Hashable, Sendable {
  /// What was written.
  public enum Content: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case list([RecipeNode])
    case map([Entry])
  }

  /// A key of a map, with its value.
  public struct Entry: Hashable, Sendable {
    public var key: String
    /// Where the key stands.
    public var origin: RecipeOrigin
    public var value: RecipeNode
  }

  public var content: Content
  public var origin: RecipeOrigin

  public init(_ content: Content, origin: RecipeOrigin) {
    self.content = content
    self.origin = origin
  }

  /// The value at `key` of a map; nil for other nodes and absent keys.
  public subscript(key: String) -> RecipeNode? {
    guard case .map(let entries) = content else { return nil }
    return entries.last { $0.key == key }?.value
  }

  /// What kind of value it is, for messages.
  public var kind: String {
    switch content {
    case .null: "nothing"
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let text): quoted(text)
    case .list(let nodes): "a list of \(nodes.count)"
    case .map: "a group of keys"
    }
  }
}

/// Where a part of a recipe comes from.
public enum RecipeOrigin: Hashable, Sendable, CustomStringConvertible {
  /// Lines and columns count from 1.
  case file(path: String, line: Int, column: Int)
  /// An argument `key.path=value`.
  case argument(String)

  public var description: String {
    switch self {
    case .file(let path, let line, let column): "\(path):\(line):\(column)"
    case .argument(let text): "argument \(quoted(text))"
    }
  }
}

/// `text` in quotes, short and without control characters: texts from files reach terminals through messages.
public func quoted(_ text: String) -> String {
  var result = "'"
  for (position, scalar) in text.unicodeScalars.enumerated() {
    guard position < 120 else { return result + "…'" }
    let isPlain = scalar.properties.generalCategory != .control && scalar.properties.generalCategory != .format
    result += isPlain ? String(scalar) : "\\u{" + String(scalar.value, radix: 16) + "}"
  }
  return result + "'"
}
