import AngelCore

/// The tokens `<0x00>` to `<0xFF>` of a vocabulary, which spell what it has no other token for.
struct ByteTokens: Sendable {
  private let tokens: [Int32]

  /// Looks the 256 spellings up in `vocabulary`.
  init(_ vocabulary: Vocabulary) {
    tokens = (0..<256).map { vocabulary.index.find(Self.spelling(UInt8($0)), in: vocabulary.spellings) ?? -1 }
  }

  /// Appends the tokens of `bytes`; false, with `output` as before, when one is missing.
  func append(_ bytes: UnsafeBufferPointer<UInt8>, to output: inout [Int32]) -> Bool {
    guard bytes.allSatisfy({ tokens[Int($0)] >= 0 }) else { return false }
    for byte in bytes { output.append(tokens[Int(byte)]) }
    return true
  }

  private static func spelling(_ byte: UInt8) -> [UInt8] {
    Array("<0x\(digit(byte >> 4))\(digit(byte & 15))>".utf8)
  }

  private static func digit(_ value: UInt8) -> String { String(value, radix: 16, uppercase: true) }

  /// The byte that a spelling `<0xAB>` stands for; hexadecimal digits of either case.
  static func byte(_ spelling: UnsafeBufferPointer<UInt8>) -> UInt8? {
    guard spelling.count == 6, spelling[0] == UInt8(ascii: "<"), spelling[1] == UInt8(ascii: "0"),
      spelling[2] == UInt8(ascii: "x"), spelling[5] == UInt8(ascii: ">"), let high = value(spelling[3]),
      let low = value(spelling[4])
    else { return nil }
    return high << 4 | low
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x41...0x46: digit - 0x41 + 10
    case 0x61...0x66: digit - 0x61 + 10
    default: nil
    }
  }
}
