/// Reads the fields of one protobuf message (encoding of protobuf.dev, proto2), never past the end.
struct ProtobufReader {
  /// One field's value; groups, which nobody writes any more, are refused.
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case bytes(UnsafeRawBufferPointer)
    case fixed32(UInt32)
  }

  private var reader: ByteReader

  init(_ bytes: UnsafeRawBufferPointer) { reader = ByteReader(bytes) }

  /// Where the next field starts.
  var position: Int { reader.position }
  var isAtEnd: Bool { reader.remaining == 0 }

  /// The next field; nil where the bytes are not one.
  mutating func next() -> (field: UInt64, value: Value)? {
    guard let tag = varint(), tag >> 3 > 0 else { return nil }
    let value: Value?
    switch tag & 7 {
    case 0: value = varint().map(Value.varint)
    case 1: value = reader.integer(UInt64.self).map(Value.fixed64)
    case 2:
      guard let count = varint(), let count = Int(exactly: count) else { return nil }
      value = reader.take(count).map(Value.bytes)
    case 5: value = reader.integer(UInt32.self).map(Value.fixed32)
    default: return nil
    }
    return value.map { (tag >> 3, $0) }
  }

  /// Seven bits a byte, the lowest first, at most ten bytes.
  private mutating func varint() -> UInt64? {
    var result: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard let byte = reader.integer(UInt8.self) else { return nil }
      guard shift < 63 || byte <= 1 else { return nil }
      result |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return result }
    }
    return nil
  }
}
