/// A stream of bits that is read from its end: the last byte's highest set bit ends it (RFC 8878, §4.1).
struct ReverseBits {
  private let bytes: UnsafeRawBufferPointer
  /// Bits that are left, below zero once zeros have been read beyond the beginning.
  private(set) var left: Int

  init(_ bytes: UnsafeRawBufferPointer) throws(PackedError) {
    guard let last = bytes.last, last != 0 else { throw .damaged("a stream of bits has no end mark") }
    self.bytes = bytes
    left = bytes.count * 8 - last.leadingZeroBitCount - 1
  }

  /// The next `count` (0...56) bits, the first one the highest; zeros beyond the beginning.
  mutating func read(_ count: Int) -> Int {
    left -= count
    guard count > 0 else { return 0 }
    var value: UInt64 = 0
    // Bits left ..< left + count, of which those below zero are zeros.
    let low = max(0, left)
    let high = max(0, left + count)
    guard high > low else { return 0 }
    for place in (low / 8...(high - 1) / 8).reversed() { value = value << 8 | UInt64(bytes[place]) }
    value >>= UInt64(low % 8)
    value &= (1 << UInt64(high - low)) - 1
    return Int(value) << (low - left)
  }
}

/// A stream of bits that is read from its beginning, lowest bit first.
struct ForwardBits {
  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func read(_ count: Int) throws(PackedError) -> Int {
    guard position + count <= bytes.count * 8 else { throw .damaged("a table ends too early") }
    var value = 0
    for bit in 0..<count {
      let place = position + bit
      value |= Int(bytes[place / 8] >> UInt8(place % 8) & 1) << bit
    }
    position += count
    return value
  }

  mutating func rewind(_ count: Int) { position -= count }

  /// The bytes that were begun.
  var byteCount: Int { (position + 7) / 8 }
}
