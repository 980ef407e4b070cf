/// A JSON document as a value; objects keep the order of their keys.
///
/// `JSONDecoder` into a dynamic tree is several times slower and loses key order, which chat templates and
/// tokenizer files need (Documentation/Decisions/0002-json.md).
public enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// A number written without fraction or exponent that fits 64 bits.
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

/// An ordered JSON object. Look-up is linear for small objects and by index for large ones; the last of equal keys wins.
///
/// Keys are equal when their bytes are: Swift's own `==` would take "é" and "e" with an accent for one vocabulary entry.
public struct JSONObject: Hashable, Sendable {
  /// The members in the order they were written.
  public private(set) var members: [Member] = []
  private var index: [ExactKey: Int]?

  /// One key and its value.
  public struct Member: Hashable, Sendable {
    public var key: String
    public var value: JSONValue
  }

  public init() {}

  public init(_ members: [(String, JSONValue)]) {
    for (key, value) in members { self[key] = value }
  }

  /// The value at `key`; assigning nil removes it, assigning to a new key appends it.
  public subscript(key: String) -> JSONValue? {
    get { position(of: key).map { members[$0].value } }
    set {
      switch (position(of: key), newValue) {
      case (let position?, let value?): members[position].value = value
      case (let position?, nil):
        members.remove(at: position)
        index = nil
        buildIndexIfLarge()
      case (nil, let value?):
        members.append(Member(key: key, value: value))
        if index == nil { buildIndexIfLarge() } else { index?[ExactKey(key)] = members.count - 1 }
      case (nil, nil): break
      }
    }
  }

  private func position(of key: String) -> Int? {
    if let index { return index[ExactKey(key)] }
    return members.firstIndex { ExactKey($0.key) == ExactKey(key) }
  }

  private mutating func buildIndexIfLarge() {
    guard members.count > 16 else { return }
    index = Dictionary(uniqueKeysWithValues: members.enumerated().map { (ExactKey($1.key), $0) })
  }

  public static func == (a: JSONObject, b: JSONObject) -> Bool { a.members == b.members }
  public func hash(into hasher: inout Hasher) { hasher.combine(members) }
}

/// A string compared and hashed by its bytes.
private struct ExactKey: Hashable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (a: ExactKey, b: ExactKey) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension JSONValue {
  public subscript(key: String) -> JSONValue? { if case .object(let object) = self { object[key] } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
  public var isNull: Bool { self == .null }
  /// An integer, or a number without fraction that fits one exactly.
  public var integer: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }
  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
  /// The JSON type's name, for error messages.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
  public init(nilLiteral: ()) { self = .null }
}
