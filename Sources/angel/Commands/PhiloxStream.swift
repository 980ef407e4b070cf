import AngelCore
import Glibc

/// Random numbers of a few distributions, from a counter-based generator.
struct PhiloxStream {
  private let generator: PhiloxGenerator
  private var counter: UInt64 = 0

  init(seed: Int) { generator = PhiloxGenerator(seed: UInt64(seed)) }

  /// In [0, 1).
  mutating func uniform() -> Double {
    counter += 1
    return generator.uniformDouble(atBlock: counter)
  }

  /// Mean 0, deviation 1 (Box and Muller, 1958).
  mutating func normal() -> Double { sqrt(-2 * log(1 - uniform())) * cos(2 * .pi * uniform()) }

  /// Of shape k and scale 1 (Marsaglia and Tsang, ACM TOMS 2000).
  mutating func gamma(_ k: Double) -> Double {
    if k < 1 { return gamma(k + 1) * pow(1 - uniform(), 1 / k) }
    let d = k - 1.0 / 3
    let c = 1 / sqrt(9 * d)
    while true {
      let x = normal()
      let v = pow(1 + c * x, 3)
      if v > 0, log(1 - uniform()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
    }
  }
}
