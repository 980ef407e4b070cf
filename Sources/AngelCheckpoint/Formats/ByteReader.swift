/// Reads little-endian values one after the other, never past the end.
struct ByteReader {
  /// The file's first bytes: the whole file, or as much as a header may take.
  let bytes: UnsafeRawBufferPointer
  /// Where the next value starts.
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Bytes not read yet.
  var remaining: Int { bytes.count - position }

  /// The next integer; nil when the bytes end first.
  mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self) -> T? {
    guard remaining >= MemoryLayout<T>.size else { return nil }
    defer { position += MemoryLayout<T>.size }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
  }

  /// The next `count` bytes; nil when there are fewer.
  mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count >= 0, count <= remaining else { return nil }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }

  /// The next byte string, which is preceded by its 64-bit length; nil when the bytes end first.
  mutating func byteString() -> UnsafeRawBufferPointer? {
    guard let length = integer(UInt64.self), length <= UInt64(remaining) else { return nil }
    return take(Int(length))
  }
}
