/// Valid UTF-8 out of any bytes: each maximal invalid subpart becomes U+FFFD (Unicode 15, section 3.9), which is what
/// Python's `errors="replace"` and WHATWG decoders do.
enum UTF8Repair {
  /// What the bytes at a position begin with.
  enum Unit: Equatable {
    /// A whole character of this many bytes.
    case character(Int)
    /// This many bytes that can never become part of a character.
    case invalid(Int)
    /// The text ends inside a character that could still be completed; this many bytes are left.
    case incomplete(Int)
  }

  /// Reads the unit at `position`, which must be before the end.
  @inline(__always)
  static func unit(in bytes: borrowing [UInt8], at position: Int) -> Unit {
    let first = bytes[position]
    if first < 0x80 { return .character(1) }
    let count: Int
    // The second byte's range rules out overlong forms, surrogates and values above U+10FFFF.
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch first {
    case 0xC2...0xDF: count = 2
    case 0xE0...0xEF:
      count = 3
      if first == 0xE0 { second = 0xA0...0xBF } else if first == 0xED { second = 0x80...0x9F }
    case 0xF0...0xF4:
      count = 4
      if first == 0xF0 { second = 0x90...0xBF } else if first == 0xF4 { second = 0x80...0x8F }
    default: return .invalid(1)
    }
    for offset in 1..<count {
      guard position + offset < bytes.count else { return .incomplete(offset) }
      guard (offset == 1 ? second : 0x80...0xBF).contains(bytes[position + offset]) else { return .invalid(offset) }
    }
    return .character(count)
  }

  static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

  /// `bytes` with every invalid subpart replaced.
  static func repaired(_ bytes: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    var copied = 0
    var position = 0
    while position < bytes.count {
      switch unit(in: bytes, at: position) {
      case .character(let count): position += count
      case .invalid(let count), .incomplete(let count):
        output.append(contentsOf: bytes[copied..<position])
        output.append(contentsOf: replacement)
        position += count
        copied = position
      }
    }
    if copied == 0 { return bytes }
    output.append(contentsOf: bytes[copied...])
    return output
  }
}
