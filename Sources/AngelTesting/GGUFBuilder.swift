/// Builds GGUF files byte by byte, right ones and wrong ones.
public struct GGUFBuilder {
  public var magic = Array("GGUF".utf8)
  public var version: UInt32 = 3
  /// What the head says, where that is to be a lie.
  public var tensorCount: UInt64?
  public var entryCount: UInt64?
  public var entries: [[UInt8]] = []
  public var infos: [[UInt8]] = []
  public var data: [UInt8] = []
  public var alignment = 32

  /// The types of metadata values, with the numbers of the format.
  public enum ValueType: UInt32, Sendable {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64
  }

  public init() {}

  public static func number<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian, Array.init)
  }
  public static func string(_ text: some Collection<UInt8>) -> [UInt8] { number(UInt64(text.count)) + text }
  public static func string(_ text: String) -> [UInt8] { string(Array(text.utf8)) }

  public mutating func add(_ key: String, _ type: ValueType, _ value: [UInt8]) {
    entries.append(Self.string(key) + Self.number(type.rawValue) + value)
  }
  public mutating func add(_ key: String, _ text: String) { add(key, .string, Self.string(text)) }
  public mutating func add(_ key: String, _ value: UInt32) { add(key, .uint32, Self.number(value)) }
  public mutating func addArray(_ key: String, _ type: ValueType, count: UInt64, _ elements: [UInt8]) {
    add(key, .array, Self.number(type.rawValue) + Self.number(count) + elements)
  }
  public mutating func addStrings(_ key: String, _ texts: [String]) {
    addArray(key, .string, count: UInt64(texts.count), texts.flatMap { Self.string($0) })
  }

  public mutating func addFloat(_ key: String, _ value: Float) { add(key, .float32, Self.number(value.bitPattern)) }

  /// A tensor's entry alone; `sizes` innermost first, as in the file.
  public mutating func addInfo(_ name: [UInt8], sizes: [UInt64], type: UInt32, offset: UInt64) {
    infos.append(
      Self.string(name) + Self.number(UInt32(sizes.count)) + sizes.flatMap { Self.number($0) } + Self.number(type)
        + Self.number(offset))
  }
  public mutating func addInfo(_ name: String, sizes: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
    addInfo(Array(name.utf8), sizes: sizes, type: type, offset: offset)
  }

  /// A float32 tensor with its data.
  public mutating func addTensor(_ name: String, sizes: [UInt64], values: [Float]) {
    addInfo(name, sizes: sizes, offset: UInt64(data.count))
    for value in values { data += Self.number(value.bitPattern) }
    pad(&data)
  }

  /// A tensor of any type with the bytes of its data.
  public mutating func addTensor(_ name: String, sizes: [UInt64], type: UInt32, bytes: some Collection<UInt8>) {
    addInfo(name, sizes: sizes, type: type, offset: UInt64(data.count))
    data += bytes
    pad(&data)
  }

  private func pad(_ bytes: inout [UInt8]) {
    bytes += Array(repeating: 0, count: (alignment - bytes.count % alignment) % alignment)
  }

  public var bytes: [UInt8] {
    var result = magic + Self.number(version)
    result += Self.number(tensorCount ?? UInt64(infos.count)) + Self.number(entryCount ?? UInt64(entries.count))
    for part in entries + infos { result += part }
    pad(&result)
    return result + data
  }

  /// A sound file with a bit of everything.
  public static var small: GGUFBuilder {
    var builder = GGUFBuilder()
    builder.add("general.architecture", "llama")
    builder.add("llama.block_count", 1)
    builder.addStrings("tokenizer.ggml.tokens", ["a", "", "ab"])
    builder.addArray("numbers", .int16, count: 2, number(Int16(-1)) + number(Int16(2)))
    let inner = number(ValueType.uint8.rawValue) + number(UInt64(1)) + [7]
    builder.addArray("nested", .array, count: 2, inner + inner)
    builder.add("flag", .bool, [1])
    builder.addTensor("first", sizes: [3, 2], values: [0, 1, 2, 3, 4, 5])
    builder.addTensor("second", sizes: [2], values: [6, 7])
    return builder
  }
}
