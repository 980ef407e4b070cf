public import AngelCore
import CSodium

/// An incremental SHA-256 digest.
public struct SHA256: ~Copyable {
  private var state = crypto_hash_sha256_state()

  public init() { crypto_hash_sha256_init(&state) }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    crypto_hash_sha256_update(&state, base.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
  }

  /// The digest as 64 lower-case hexadecimal digits.
  public consuming func hexadecimal() -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    crypto_hash_sha256_final(&state, &digest)
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  /// The digest of bytes in memory.
  public static func hexadecimal(of bytes: some Collection<UInt8>) -> String {
    var hash = SHA256()
    Array(bytes).withUnsafeBytes { hash.update($0) }
    return hash.hexadecimal()
  }

  /// The digest of a file. Throws `StoreError` or `Interrupted`.
  public static func hexadecimal(
    ofFile path: String, interruption: Interruption, progress: ProgressDisplay? = nil
  ) throws -> String {
    var hash = SHA256()
    let file = try OpenFile(reading: path)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { buffer.deallocate() }
    var offset = 0
    while true {
      try interruption.check()
      let count = try file.read(at: offset, into: buffer)
      guard count > 0 else { return hash.hexadecimal() }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      offset += count
      progress?.update(to: offset)
    }
  }
}
