/// Whole numbers in bytes of seven bits, the lowest first; a byte below 128 is the last (LEB128).
enum Varint {
  /// The number that begins at `place`, which moves behind it; of at most `bits` bits.
  static func read(_ bytes: ArraySlice<UInt8>, at place: inout Int, bits: Int = 64) throws(ParquetError) -> UInt64 {
    var (value, shift) = (UInt64(0), 0)
    while place < bytes.endIndex, shift < bits {
      let byte = bytes[place]
      place += 1
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return value }
      shift += 7
    }
    throw .damaged(shift < bits ? "a number is cut off" : "a number of more than \(bits) bits")
  }

  /// A number with its sign in the lowest bit (zigzag).
  static func readSigned(_ bytes: ArraySlice<UInt8>, at place: inout Int) throws(ParquetError) -> Int {
    let value = try read(bytes, at: &place)
    return Int(bitPattern: UInt(value >> 1)) ^ -Int(value & 1)
  }
}
