import AngelCore

extension Tokenizer {
  /// A digest of what every id means: equal for tokenizers whose tokens may be mixed. FNV-1a over the spellings, twice with
  /// different beginnings; it tells mistakes apart, not forgeries.
  public var digest: String {
    var (first, second) = (FNV1a(), 0x6C62_272E_07BB_0142 as UInt64)
    for index in 0..<vocabularySize {
      for byte in spellings[index] {
        first.mix(byte)
        second = (second &+ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C15 ^ second >> 29
      }
      first.mix(0xFF as UInt8)
    }
    return String(first.value, radix: 16) + "-" + String(second, radix: 16)
  }
}
