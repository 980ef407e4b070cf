public import AngelCore

/// Reads typed, bounded fields of a configuration that came with a checkpoint; errors name the key, the value and the file.
public struct ConfigurationFields {
  private let object: JSONObject
  private let path: String
  private let prefix: String

  /// Fields of `object`, read from the file at `path`; `prefix` goes before every key.
  public init(_ object: JSONObject, path: String, prefix: String = "") {
    self.object = object
    self.path = path
    self.prefix = prefix
  }

  public init(_ checkpoint: Checkpoint, prefix: String = "") {
    self.init(checkpoint.configuration, path: checkpoint.path, prefix: prefix)
  }

  /// The raw value at `key`, nil when absent or null.
  public subscript(key: String) -> JSONValue? {
    guard let value = object[prefix + key], !value.isNull else { return nil }
    return value
  }

  /// Whether the file has the key and says null.
  public func isNull(_ key: String) -> Bool { object[prefix + key]?.isNull ?? false }

  /// A whole number in `range`, or `fallback` when the key is absent.
  public func integer(_ key: String, in range: ClosedRange<Int> = 1...1 << 31, default fallback: Int? = nil)
    throws(CheckpointError) -> Int
  {
    guard let value = self[key] else {
      guard let fallback else { throw missing(key) }
      return fallback
    }
    guard let integer = value.integer, range.contains(integer) else {
      throw wrong(key, value, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return integer
  }

  /// One whole number in `range` for each of `count` layers: a list of as many or more, one number for all of them, or
  /// `fallback` when the key is absent.
  public func integers(
    _ key: String, in range: ClosedRange<Int> = 1...1 << 31, count: Int, default fallback: Int? = nil
  )
    throws(CheckpointError) -> [Int]
  {
    guard let value = self[key], let list = value.array else {
      return [Int](repeating: try integer(key, in: range, default: fallback), count: count)
    }
    let integers = list.prefix(count).compactMap(\.integer)
    guard integers.count == count, integers.allSatisfy(range.contains) else {
      throw wrong(key, value, "\(count) whole numbers from \(range.lowerBound) to \(range.upperBound)")
    }
    return integers
  }

  /// A finite number, or `fallback` when the key is absent.
  public func float(_ key: String, default fallback: Float? = nil) throws(CheckpointError) -> Float {
    guard let value = self[key] else {
      guard let fallback else { throw missing(key) }
      return fallback
    }
    guard let double = value.double, Float(double).isFinite else { throw wrong(key, value, "a number") }
    return Float(double)
  }

  /// A whole number in `range`, nil where the file says null, or `fallback` when the key is absent.
  public func integerOrNull(_ key: String, in range: ClosedRange<Int> = 1...1 << 31, default fallback: Int?)
    throws(CheckpointError) -> Int?
  {
    if isNull(key) { return nil }
    return self[key] == nil ? fallback : try integer(key, in: range)
  }

  /// A truth value, or `fallback` when the key is absent.
  public func bool(_ key: String, default fallback: Bool) throws(CheckpointError) -> Bool {
    guard let value = self[key] else { return fallback }
    guard let bool = value.bool else { throw wrong(key, value, "true or false") }
    return bool
  }

  /// A list of finite numbers, nil when the key is absent.
  public func floats(_ key: String) throws(CheckpointError) -> [Float]? {
    guard let value = self[key] else { return nil }
    guard let array = value.array, array.allSatisfy({ $0.double.map { Float($0).isFinite } ?? false }) else {
      throw wrong(key, value, "a list of numbers")
    }
    return array.compactMap { $0.double.map(Float.init) }
  }

  /// The fields of a nested object, nil when the key is absent.
  public func fields(_ key: String) throws(CheckpointError) -> ConfigurationFields? {
    guard let value = self[key] else { return nil }
    guard let object = value.object else { throw wrong(key, value, "an object") }
    return ConfigurationFields(object, path: path)
  }

  /// The error for a value that is there but cannot be used.
  public func wrong(_ key: String, _ value: JSONValue, _ expected: String) -> CheckpointError {
    .unsupported(path: path, reason: "'\(prefix + key)' is \(value.encoded().prefix(80)), expected \(expected)")
  }

  private func missing(_ key: String) -> CheckpointError {
    .damaged(path: path, format: "model configuration", reason: "'\(prefix + key)' is missing")
  }
}
