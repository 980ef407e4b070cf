/// The FNV-1a hash of 64 bits (http://www.isthe.com/chongo/tech/comp/fnv): it names what belongs together and tells mistakes apart,
/// not forgeries.
public struct FNV1a: Sendable {
  /// Of what has been mixed in so far.
  public private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  public init() {}

  /// Mixes in a byte, or a word as one.
  public mutating func mix(_ word: some UnsignedInteger) {
    value = (value ^ UInt64(truncatingIfNeeded: word)) &* 0x100_0000_01B3
  }

  /// The hash of all `bytes`.
  public static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var result = Self()
    for byte in bytes { result.mix(byte) }
    return result.value
  }
}
