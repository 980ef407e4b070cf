public import AngelCore

/// One metadata value of a GGUF file.
public enum GGUFValue: Sendable, Hashable {
  case unsigned(UInt64)
  case signed(Int64)
  case float32(Float)
  case float64(Double)
  case bool(Bool)
  /// Text; bytes that are not UTF-8 are repaired.
  case string(String)
  /// An array of strings, byte for byte as in the file.
  case strings(StringTable)
  /// An array of numbers or booleans.
  case numbers(GGUFNumbers)
  /// An array of arrays.
  case arrays([GGUFValue])
}

extension GGUFValue {
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var strings: StringTable? { if case .strings(let value) = self { value } else { nil } }
  public var numbers: GGUFNumbers? { if case .numbers(let value) = self { value } else { nil } }
  /// A whole number that fits `Int`.
  public var integer: Int? {
    switch self {
    case .unsigned(let value): Int(exactly: value)
    case .signed(let value): Int(value)
    case .float32, .float64, .bool, .string, .strings, .numbers, .arrays: nil
    }
  }

  /// What the value is, for error messages.
  public var kind: String {
    switch self {
    case .unsigned, .signed: "an integer"
    case .float32, .float64: "a number"
    case .bool: "a boolean"
    case .string: "a string"
    case .strings: "an array of strings"
    case .numbers: "an array of numbers"
    case .arrays: "an array of arrays"
    }
  }

  /// The value as JSON; nil for an array longer than `maximumCount`, and for arrays of arrays.
  public func json(maximumCount: Int = 4096) -> JSONValue? {
    switch self {
    case .unsigned(let value): Int(exactly: value).map(JSONValue.integer) ?? .number(Double(value))
    case .signed(let value): .integer(Int(value))
    case .float32(let value): .number(Double(value))
    case .float64(let value): .number(value)
    case .bool(let value): .bool(value)
    case .string(let value): .string(value)
    case .strings(let table):
      table.count <= maximumCount ? .array((0..<table.count).map { .string(table.string($0)) }) : nil
    case .numbers(let numbers):
      numbers.count <= maximumCount ? .array((0..<numbers.count).compactMap { numbers[$0].json() }) : nil
    case .arrays: nil
    }
  }
}

/// The types a metadata value can have, with the numbers of the format.
public enum GGUFType: UInt32, Sendable, Hashable, CaseIterable {
  case uint8 = 0
  case int8 = 1
  case uint16 = 2
  case int16 = 3
  case uint32 = 4
  case int32 = 5
  case float32 = 6
  case bool = 7
  case string = 8
  case array = 9
  case uint64 = 10
  case int64 = 11
  case float64 = 12

  /// The fewest bytes one value takes.
  var minimumBytes: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .string: 8
    case .array: 12
    }
  }
}
