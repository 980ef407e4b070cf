@testable import AngelCheckpoint

/// Builds GGUF files byte by byte, right ones and wrong ones.
struct GGUFBuilder {
  var magic = Array("GGUF".utf8)
  var version: UInt32 = 3
  /// What the head says, where that is to be a lie.
  var tensorCount: UInt64?
  var entryCount: UInt64?
  var entries: [[UInt8]] = []
  var infos: [[UInt8]] = []
  var data: [UInt8] = []
  var alignment = 32

  static func number<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian, Array.init)
  }
  static func string(_ text: some Collection<UInt8>) -> [UInt8] { number(UInt64(text.count)) + text }
  static func string(_ text: String) -> [UInt8] { string(Array(text.utf8)) }

  mutating func add(_ key: String, _ type: GGUFType, _ value: [UInt8]) {
    entries.append(Self.string(key) + Self.number(type.rawValue) + value)
  }
  mutating func add(_ key: String, _ text: String) { add(key, .string, Self.string(text)) }
  mutating func add(_ key: String, _ value: UInt32) { add(key, .uint32, Self.number(value)) }
  mutating func addArray(_ key: String, _ type: GGUFType, count: UInt64, _ elements: [UInt8]) {
    add(key, .array, Self.number(type.rawValue) + Self.number(count) + elements)
  }
  mutating func addStrings(_ key: String, _ texts: [String]) {
    addArray(key, .string, count: UInt64(texts.count), texts.flatMap { Self.string($0) })
  }

  /// A tensor's entry alone; `sizes` innermost first, as in the file.
  mutating func addInfo(_ name: [UInt8], sizes: [UInt64], type: UInt32, offset: UInt64) {
    infos.append(
      Self.string(name) + Self.number(UInt32(sizes.count)) + sizes.flatMap { Self.number($0) } + Self.number(type)
        + Self.number(offset))
  }
  mutating func addInfo(_ name: String, sizes: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
    addInfo(Array(name.utf8), sizes: sizes, type: type, offset: offset)
  }

  /// A float32 tensor with its data.
  mutating func addTensor(_ name: String, sizes: [UInt64], values: [Float]) {
    addInfo(name, sizes: sizes, offset: UInt64(data.count))
    for value in values { data += Self.number(value.bitPattern) }
    pad(&data)
  }

  private func pad(_ bytes: inout [UInt8]) {
    bytes += Array(repeating: 0, count: (alignment - bytes.count % alignment) % alignment)
  }

  var bytes: [UInt8] {
    var result = magic + Self.number(version)
    result += Self.number(tensorCount ?? UInt64(infos.count)) + Self.number(entryCount ?? UInt64(entries.count))
    for part in entries + infos { result += part }
    pad(&result)
    return result + data
  }

  /// A sound file with a bit of everything.
  static var small: GGUFBuilder {
    var builder = GGUFBuilder()
    builder.add("general.architecture", "llama")
    builder.add("llama.block_count", 1)
    builder.addStrings("tokenizer.ggml.tokens", ["a", "", "ab"])
    builder.addArray("numbers", .int16, count: 2, number(Int16(-1)) + number(Int16(2)))
    let inner = number(GGUFType.uint8.rawValue) + number(UInt64(1)) + [7]
    builder.addArray("nested", .array, count: 2, inner + inner)
    builder.add("flag", .bool, [1])
    builder.addTensor("first", sizes: [3, 2], values: [0, 1, 2, 3, 4, 5])
    builder.addTensor("second", sizes: [2], values: [6, 7])
    return builder
  }
}

/// Parses `bytes` as a whole file.
func parseGGUF(_ bytes: [UInt8]) throws -> GGUFHeader {
  try bytes.withUnsafeBytes { try GGUFHeader(parsing: $0, path: "x.gguf") }
}
