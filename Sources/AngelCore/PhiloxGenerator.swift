/// Counter-based random numbers: the value at a position is a pure function of (seed, stream, position).
///
/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Nothing has to
/// be advanced or saved: a request's draw at a step, a dropout mask or an initial weight is the same on every run, for
/// every thread count and in every order of evaluation. As in cuRAND, the key is the seed, the low half of the counter
/// the position and the high half the stream.
public struct PhiloxGenerator: Hashable, Sendable {
  public let seed: UInt64
  /// Streams of one seed are independent: one for each request, layer or purpose.
  public let stream: UInt64

  public init(seed: UInt64, stream: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
  }

  /// Four random words; words 4n...4n+3 of the stream are block n.
  public func block(at index: UInt64) -> SIMD4<UInt32> {
    Self.block(
      counter: SIMD4(
        UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32),
        UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)),
      key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
  }

  /// The random word at a position; for runs of positions `block(at:)` is four times cheaper.
  public func word(at position: UInt64) -> UInt32 { block(at: position / 4)[Int(position % 4)] }

  /// Uniform in [0, 1): one of the 2^24 multiples of 2^−24, each equally likely.
  public func uniform(at position: UInt64) -> Float { Float(word(at: position) >> 8) * 0x1p-24 }

  /// Uniform in [0, 1) with 53 random bits, from the first two words of the block at `index`.
  public func uniformDouble(atBlock index: UInt64) -> Double {
    let words = block(at: index)
    return Double((UInt64(words[0]) << 32 | UInt64(words[1])) >> 11) * 0x1p-53
  }

  /// The function of the paper: ten rounds of two 32 x 32 → 64 bit products over counter and key.
  public static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (words, key) = (counter, key)
    for round in 0..<10 {
      // Weyl sequences from the golden ratio and √3 − 1 give each round its own key.
      if round > 0 { key &+= SIMD2(0x9E37_79B9, 0xBB67_AE85) }
      let first = UInt64(0xD251_1F53) * UInt64(words[0])
      let second = UInt64(0xCD9E_8D57) * UInt64(words[2])
      words = SIMD4(
        UInt32(truncatingIfNeeded: second >> 32) ^ words[1] ^ key[0], UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ words[3] ^ key[1], UInt32(truncatingIfNeeded: first))
    }
    return words
  }
}
