extension Tokenizer {
  /// A digest of what every id means: equal for tokenizers whose tokens may be mixed. FNV-1a over the spellings, twice with
  /// different beginnings; it tells mistakes apart, not forgeries.
  public var digest: String {
    var (first, second) = (UInt64(0xCBF2_9CE4_8422_2325), UInt64(0x6C62_272E_07BB_0142))
    for index in 0..<vocabularySize {
      for byte in spellings[index] {
        first = (first ^ UInt64(byte)) &* 0x100_0000_01B3
        second = (second &+ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C15 ^ second >> 29
      }
      first = (first ^ 0xFF) &* 0x100_0000_01B3
    }
    return String(first, radix: 16) + "-" + String(second, radix: 16)
  }
}
