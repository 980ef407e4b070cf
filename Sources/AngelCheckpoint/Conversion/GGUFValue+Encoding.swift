extension GGUFValue {
  /// An array of 32-bit integers.
  public static func integers(_ values: [Int32]) -> GGUFValue {
    values.withUnsafeBytes { .numbers(GGUFNumbers(type: .int32, bytes: $0)) }
  }

  /// An array of 32-bit floats.
  public static func floats(_ values: [Float]) -> GGUFValue {
    values.withUnsafeBytes { .numbers(GGUFNumbers(type: .float32, bytes: $0)) }
  }

  /// An array of bytes.
  public static func bytes(_ values: [UInt8]) -> GGUFValue {
    values.withUnsafeBytes { .numbers(GGUFNumbers(type: .uint8, bytes: $0)) }
  }

  /// Appends the value's type and bytes. Whole numbers take 32 bits where they fit, as every reader expects of the keys
  /// that are in use, else 64.
  func encode(into bytes: inout [UInt8]) {
    switch self {
    case .unsigned(let value):
      if let small = UInt32(exactly: value) {
        append(.uint32, small, to: &bytes)
      } else {
        append(.uint64, value, to: &bytes)
      }
    case .signed(let value):
      if let small = Int32(exactly: value) {
        append(.int32, small, to: &bytes)
      } else {
        append(.int64, value, to: &bytes)
      }
    case .float32(let value): append(.float32, value.bitPattern, to: &bytes)
    case .float64(let value): append(.float64, value.bitPattern, to: &bytes)
    case .bool(let value): append(.bool, UInt8(value ? 1 : 0), to: &bytes)
    case .string(let text):
      bytes.append(number: GGUFType.string.rawValue)
      bytes.append(ggufString: text.utf8)
    case .strings, .numbers, .arrays:
      bytes.append(number: GGUFType.array.rawValue)
      encodeArray(into: &bytes)
    }
  }

  /// Appends an array's element type, count and elements.
  private func encodeArray(into bytes: inout [UInt8]) {
    switch self {
    case .strings(let table):
      bytes.append(number: GGUFType.string.rawValue)
      bytes.append(number: UInt64(table.count))
      for index in 0..<table.count { bytes.append(ggufString: table[index]) }
    case .numbers(let numbers):
      bytes.append(number: numbers.type.rawValue)
      bytes.append(number: UInt64(numbers.count))
      numbers.withBytes { bytes.append(contentsOf: $0) }
    case .arrays(let arrays):
      bytes.append(number: GGUFType.array.rawValue)
      bytes.append(number: UInt64(arrays.count))
      for array in arrays { array.encodeArray(into: &bytes) }
    case .unsigned, .signed, .float32, .float64, .bool, .string: preconditionFailure("\(kind) is not an array")
    }
  }

  private func append(_ type: GGUFType, _ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    bytes.append(number: type.rawValue)
    bytes.append(number: value)
  }
}

extension [UInt8] {
  /// Appends a little-endian number.
  mutating func append<Number: FixedWidthInteger>(number: Number) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }

  /// Appends a byte string after its 64-bit length.
  mutating func append(ggufString text: some Collection<UInt8>) {
    append(number: UInt64(text.count))
    append(contentsOf: text)
  }
}
