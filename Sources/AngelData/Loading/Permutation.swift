import AngelCore

/// A random order of 0..<count that is a formula: entry `i` is computed, nothing is shuffled or stored.
///
/// A balanced Feistel network of four rounds over the smallest even number of bits that holds `count`, with Philox as the
/// round function, walked until the value is in range (Black and Rogaway: "Ciphers with Arbitrary Finite Domains", 2002).
/// The domain is less than four times `count`, so the walk takes fewer than four steps on average.
public struct Permutation: Hashable, Sendable {
  public let count: Int
  private let generator: PhiloxGenerator
  private let halfBits: Int

  /// The order of `count` entries for a seed; epochs differ by `stream`.
  public init(count: Int, seed: UInt64, stream: UInt64) {
    precondition(count > 0, "a permutation of nothing")
    self.count = count
    generator = PhiloxGenerator(seed: seed, stream: stream)
    let bits = Int.bitWidth - (count - 1).leadingZeroBitCount
    halfBits = max(1, (bits + 1) / 2)
  }

  /// The entry at `index`.
  public subscript(index: Int) -> Int {
    precondition(index >= 0 && index < count, "entry \(index) of a permutation of \(count)")
    var value = UInt64(index)
    repeat { value = encrypt(value) } while value >= UInt64(count)
    return Int(value)
  }

  private func encrypt(_ value: UInt64) -> UInt64 {
    let mask = (UInt64(1) << UInt64(halfBits)) - 1
    var (left, right) = (value >> UInt64(halfBits), value & mask)
    for round in 0..<UInt64(4) {
      let words = generator.block(at: right << 2 | round)
      let mixed = (UInt64(words[0]) << 32 | UInt64(words[1])) & mask
      (left, right) = (right, left ^ mixed)
    }
    return left << UInt64(halfBits) | right
  }
}
