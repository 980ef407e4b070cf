/// An array of numbers or booleans of a GGUF file, kept as compactly as there.
public struct GGUFNumbers: Sendable, Hashable {
  /// The type of every element; never `string` or `array`.
  public let type: GGUFType
  /// The number of elements.
  public let count: Int
  /// The elements as stored: little endian, one after the other.
  private let bytes: [UInt8]

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

  /// All elements as 32-bit floats; nil when they are not of type `float32`.
  public var floats: [Float]? {
    guard type == .float32 else { return nil }
    return bytes.withUnsafeBytes { bytes in
      (0..<count).map {
        Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
      }
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
