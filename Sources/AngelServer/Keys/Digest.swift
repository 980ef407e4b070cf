import CSodium

/// Digests as hexadecimal digits.
enum Digest {
  /// BLAKE2b-256 of a text, 64 digits.
  static func blake2b(of text: String) -> String {
    _ = sodium_init()
    var digest = [UInt8](repeating: 0, count: 32)
    let bytes = Array(text.utf8)
    crypto_generichash(&digest, digest.count, bytes, UInt64(bytes.count), nil, 0)
    return hexadecimal(digest)
  }

  /// Two digits for each byte.
  static func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
