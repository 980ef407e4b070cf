/// GPT-2's byte alphabet: a visible character for each byte, so that vocabularies can be text files.
///
/// Printable Latin-1 bytes stand for themselves; the other 68 bytes take U+0100, U+0101, … in order.
enum ByteAlphabet {
  /// The byte of each alphabet character, indexed by scalar value; -1 elsewhere.
  static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x100 + 68)
    var next = 0x100
    for byte in 0..<256 {
      if isVisible(byte) {
        table[byte] = Int16(byte)
      } else {
        table[next] = Int16(byte)
        next += 1
      }
    }
    return table
  }()

  /// `bytes` in the alphabet.
  static func spelling(of bytes: [UInt8]) -> String {
    var text = ""
    for byte in bytes {
      let scalar = letters[Int(byte)]
      text.unicodeScalars.append(scalar)
    }
    return text
  }

  /// The alphabet character of each byte.
  private static let letters: [Unicode.Scalar] = {
    var table = [Unicode.Scalar](repeating: " ", count: 256)
    for (scalar, byte) in bytes.enumerated() where byte >= 0 {
      if let letter = Unicode.Scalar(UInt32(scalar)) { table[Int(byte)] = letter }
    }
    return table
  }()

  private static func isVisible(_ byte: Int) -> Bool {
    (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
  }

  /// The spelling of each byte as two UTF-8 bytes, the first zero where one is enough.
  private static let spellings: [(UInt8, UInt8)] = {
    var table = [(UInt8, UInt8)](repeating: (0, 0), count: 256)
    for (scalar, byte) in bytes.enumerated() where byte >= 0 {
      table[Int(byte)] = scalar < 0x80 ? (0, UInt8(scalar)) : (0xC0 | UInt8(scalar >> 6), 0x80 | UInt8(scalar & 0x3F))
    }
    return table
  }()

  /// Appends the alphabet's spelling of `bytes`.
  static func encode(_ bytes: UnsafeBufferPointer<UInt8>, into output: inout [UInt8]) {
    let spellings = spellings
    for byte in bytes {
      let (first, second) = spellings[Int(byte)]
      if first != 0 { output.append(first) }
      output.append(second)
    }
  }

  /// Appends the bytes that `spelling` stands for; false, with `output` as before, if a character is not in the alphabet.
  static func decode(_ spelling: UnsafeBufferPointer<UInt8>, into output: inout [UInt8]) -> Bool {
    let start = output.count
    let bytes = bytes
    var index = 0
    while index < spelling.count {
      let first = Int(spelling[index])
      var scalar = first
      index += 1
      // The alphabet ends at U+0143: one byte, or two of which the first is C2...C5.
      if first >= 0x80 {
        guard (0xC2...0xC5).contains(first), index < spelling.count, spelling[index] & 0xC0 == 0x80 else {
          output.removeSubrange(start...)
          return false
        }
        scalar = (first & 0x1F) << 6 | Int(spelling[index] & 0x3F)
        index += 1
      }
      guard scalar < bytes.count, bytes[scalar] >= 0 else {
        output.removeSubrange(start...)
        return false
      }
      output.append(UInt8(bytes[scalar]))
    }
    return true
  }
}
