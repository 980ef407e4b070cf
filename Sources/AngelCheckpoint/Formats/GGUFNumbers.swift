/// An array of numbers or booleans of a GGUF file, kept as compactly as there.
public struct GGUFNumbers: Sendable, Hashable {
  /// The type of every element; never `string` or `array`.
  public let type: GGUFType
  /// The number of elements.
  public let count: Int
  /// The elements as stored: little endian, one after the other.
  let bytes: [UInt8]

  /// Copies `bytes`, which hold whole elements of `type`.
  init(type: GGUFType, bytes: UnsafeRawBufferPointer) {
    self.type = type
    self.bytes = Array(bytes)
    count = bytes.count / type.minimumBytes
  }

  /// Element `index`; traps when out of range.
  public subscript(index: Int) -> GGUFValue {
    precondition(index >= 0 && index < count, "element \(index) of an array of \(count)")
    return bytes.withUnsafeBytes { GGUFValue(number: type, $0, at: index * type.minimumBytes) }
  }

  /// Calls `body` with the elements as stored.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { bytes.withUnsafeBytes(body) }

  /// All elements as integers; nil when they are not of an integer type or one does not fit.
  public var integers: [Int]? {
    var result: [Int] = []
    result.reserveCapacity(count)
    for index in 0..<count {
      guard let value = self[index].integer else { return nil }
      result.append(value)
    }
    return result
  }

  /// All elements as bytes; nil when they are not of an integer type or one does not fit. Converters write kinds of tokens
  /// as 32-bit integers, 262,144 in a Gemma: one pass over the bytes.
  public var smallIntegers: [UInt8]? {
    guard type == .int32 || type == .uint32 else {
      return integers?.reduce(into: [UInt8]?([])) { result, value in
        if let byte = UInt8(exactly: value) { result?.append(byte) } else { result = nil }
      }
    }
    var isSmall = true
    let result = [UInt8](unsafeUninitializedCapacity: count) { output, initialized in
      bytes.withUnsafeBytes { bytes in
        for index in 0..<count {
          let value = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
          isSmall = isSmall && value < 256
          output.initializeElement(at: index, to: UInt8(truncatingIfNeeded: value))
        }
      }
      initialized = count
    }
    return isSmall ? result : nil
  }

  /// All elements as 32-bit floats; nil when they are not of type `float32`.
  public var floats: [Float]? {
    guard type == .float32 else { return nil }
    return [Float](unsafeUninitializedCapacity: count) { output, initialized in
      bytes.withUnsafeBytes { bytes in
        for index in 0..<count {
          let bits = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
          output.initializeElement(at: index, to: Float(bitPattern: bits))
        }
      }
      initialized = count
    }
  }
}

extension GGUFValue {
  /// The number of `type` at `offset`; the caller has checked that it is there and that booleans are 0 or 1.
  init(number type: GGUFType, _ bytes: UnsafeRawBufferPointer, at offset: Int) {
    func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) -> T {
      T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
    }
    switch type {
    case .uint8: self = .unsigned(UInt64(load(UInt8.self)))
    case .int8: self = .signed(Int64(load(Int8.self)))
    case .uint16: self = .unsigned(UInt64(load(UInt16.self)))
    case .int16: self = .signed(Int64(load(Int16.self)))
    case .uint32: self = .unsigned(UInt64(load(UInt32.self)))
    case .int32: self = .signed(Int64(load(Int32.self)))
    case .uint64: self = .unsigned(load(UInt64.self))
    case .int64: self = .signed(load(Int64.self))
    case .float32: self = .float32(Float(bitPattern: load(UInt32.self)))
    case .float64: self = .float64(Double(bitPattern: load(UInt64.self)))
    case .bool: self = .bool(load(UInt8.self) != 0)
    case .string, .array: preconditionFailure("\(type) is not a number")
    }
  }
}
