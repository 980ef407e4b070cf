import AngelCore

/// What a token file holds, in 64 bits: FNV-1a over tokens, weights and ends of documents. It tells mistakes apart, not
/// forgeries.
struct TokenDigest {
  private var hash = FNV1a()

  mutating func mix(_ word: UInt32) { hash.mix(word) }

  /// The little-endian words of `width` bytes, 2 or 4, in `range`.
  mutating func mix(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, width: Int) {
    for place in stride(from: range.lowerBound, to: range.upperBound, by: width) {
      if width == 2 {
        mix(UInt32(bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self).littleEndian))
      } else {
        mix(bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self).littleEndian)
      }
    }
  }

  mutating func endDocument() { mix(.max) }

  var text: String { String(hash.value, radix: 16) }
}
