/// A seeded hash of byte strings: a file cannot be written so that its tokens collide.
struct ByteHash: Sendable {
  let seed: UInt64 = .random(in: .min ... .max)

  @inline(__always)
  func callAsFunction(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
    let count = bytes.count
    var state = seed ^ UInt64(truncatingIfNeeded: count)
    guard let start = bytes.baseAddress.map(UnsafeRawPointer.init), count > 0 else { return Self.mix(state) }
    var index = 0
    while index + 8 < count {
      state = Self.mix(state ^ start.loadUnaligned(fromByteOffset: index, as: UInt64.self))
      index += 8
    }
    return Self.mix(state ^ Self.tail(start, index, count))
  }

  @inline(__always)
  func callAsFunction(_ key: UInt64) -> UInt64 { Self.mix(key ^ seed) }

  /// The last one to eight bytes from `index` on as a number; loads may overlap, so none goes byte by byte.
  @inline(__always)
  private static func tail(_ start: UnsafeRawPointer, _ index: Int, _ count: Int) -> UInt64 {
    if count >= 8 { return start.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self) }
    if count >= 4 {
      let first = start.loadUnaligned(as: UInt32.self)
      let last = start.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)
      return UInt64(first) << 32 | UInt64(last)
    }
    let first = UInt64(start.load(as: UInt8.self))
    let middle = UInt64(start.load(fromByteOffset: count / 2, as: UInt8.self))
    let last = UInt64(start.load(fromByteOffset: count - 1, as: UInt8.self))
    return first << 16 | middle << 8 | last
  }

  /// Folds the 128-bit product, as wyhash does.
  @inline(__always)
  private static func mix(_ value: UInt64) -> UInt64 {
    let product = (value ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
    return product.high ^ product.low
  }
}
