import Glibc

/// A small seeded generator for tests (SplitMix64).
struct SequenceGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }

  mutating func next(below bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
}

/// How long randomised tests go on: ten times longer with ANGEL_TEST_ALL=1.
enum RandomisedSteps {
  static var factor: Int { getenv("ANGEL_TEST_ALL").map { String(cString: $0) } == "1" ? 10 : 1 }
}
