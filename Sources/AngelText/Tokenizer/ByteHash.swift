/// A seeded hash of byte strings: a file cannot be written so that its tokens collide.
struct ByteHash: Sendable {
  let seed: UInt64 = .random(in: .min ... .max)

  func callAsFunction(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
    var state = seed ^ UInt64(truncatingIfNeeded: bytes.count)
    var index = 0
    let raw = UnsafeRawBufferPointer(bytes)
    while index + 8 <= raw.count {
      state = Self.mix(state ^ raw.loadUnaligned(fromByteOffset: index, as: UInt64.self))
      index += 8
    }
    var tail: UInt64 = 0
    while index < raw.count {
      tail = tail << 8 | UInt64(raw[index])
      index += 1
    }
    return Self.mix(state ^ tail)
  }

  func callAsFunction(_ key: UInt64) -> UInt64 { Self.mix(key ^ seed) }

  /// Folds the 128-bit product, as wyhash does.
  private static func mix(_ value: UInt64) -> UInt64 {
    let product = (value ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
    return product.high ^ product.low
  }
}
