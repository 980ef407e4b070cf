import Glibc

/// Passes over a row of logits, sixteen lanes at a time, in one fixed order: equal input gives equal bits on every
/// machine, since only IEEE additions and multiplications are used (no library exponential, no fused operations).
enum LogitScan {
  private static let lanes = 16
  typealias Lanes = SIMD16<Float>

  /// The largest value, or the first position that holds NaN or +infinity.
  enum Extreme: Equatable {
    case maximum(Float)
    case damaged(position: Int)
  }

  static func extreme(of values: UnsafeBufferPointer<Float>) -> Extreme {
    var largest = Lanes(repeating: -.infinity)
    // x − x is 0 for every finite x and NaN for NaN and infinity; −infinity, which is allowed, is replaced before.
    var poison = Lanes(repeating: 0)
    forEachGroup(values, padding: -.infinity) { _, group in
      let clamped = group.replacing(with: 0, where: group .< 0)
      poison += (clamped - clamped)
      largest = largest.replacing(with: group, where: group .> largest)
    }
    if poison == Lanes(repeating: 0) { return .maximum(largest.max()) }
    let position = values.firstIndex { $0.isNaN || $0 == .infinity }
    return position.map { .damaged(position: $0) } ?? .maximum(largest.max())
  }

  /// The first position of the largest value.
  static func firstPosition(of value: Float, in values: UnsafeBufferPointer<Float>) -> Int {
    guard let base = values.baseAddress else { return 0 }
    var start = 0
    while start + lanes <= values.count {
      let matches = UnsafeRawPointer(base + start).loadUnaligned(as: Lanes.self) .== value
      if any(matches) { return start + (0..<lanes).prefix { !matches[$0] }.count }
      start += lanes
    }
    return values[start...].firstIndex(of: value) ?? 0
  }

  /// log Σ exp(value), summed in float64 over sixteen interleaved lanes, then halved 8-4-2-1.
  static func logSumExp(_ values: UnsafeBufferPointer<Float>, maximum: Float) -> Double {
    var sums = SIMD16<Double>(repeating: 0)
    forEachGroup(values, padding: -.infinity) { _, group in
      sums += SIMD16<Double>(exponential(group - maximum))
    }
    let eight = sums.lowHalf + sums.highHalf
    let four = eight.lowHalf + eight.highHalf
    let two = four.lowHalf + four.highHalf
    return Double(maximum) + log(two[0] + two[1])
  }

  /// weights[i] = exp((values[i] − maximum) / temperature).
  static func weights(
    of values: UnsafeBufferPointer<Float>, maximum: Float, temperature: Float,
    into weights: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(weights.count == values.count, "\(weights.count) weights for \(values.count) logits")
    forEachGroup(values, padding: -.infinity) { start, group in
      let result = exponential((group - maximum) / temperature)
      let count = min(lanes, values.count - start)
      if count == lanes, let base = weights.baseAddress {
        UnsafeMutableRawPointer(base + start).storeBytes(of: result, as: Lanes.self)
      } else {
        for lane in 0..<count { weights[start + lane] = result[lane] }
      }
    }
  }

  /// exp(x) for x ≤ 0 within 2 units in the last place; 0 below −87.3, where float32 has no normal numbers.
  ///
  /// Cody and Waite: x = n ln 2 + r with |r| ≤ ln 2 / 2, ln 2 in two parts so that n ln 2 is exact; a polynomial of
  /// degree 6 for exp(r); n goes into the exponent bits.
  @inline(__always)
  static func exponential(_ x: Lanes) -> Lanes {
    let isTiny = x .< -87.3
    let x = x.replacing(with: 0, where: isTiny)
    // Adding 1.5 · 2^23 rounds to an integer, which then stands in the low mantissa bits.
    let shifted = x * 1.442_695_04 + 12_582_912
    let n = shifted - 12_582_912
    let r = x - n * 0.693_359_375 - n * -2.121_944_4e-4
    var p = r * (1 / 720 as Float) + (1 / 120 as Float)
    p = p * r + (1 / 24 as Float)
    p = p * r + (1 / 6 as Float)
    p = p * r + 0.5
    p = p * r + 1
    p = p * r + 1
    let bits = SIMD16<UInt32>(truncatingIfNeeded: unsafeBitCast(shifted, to: SIMD16<UInt32>.self))
    let scale = unsafeBitCast((bits &+ 127) &<< 23, to: Lanes.self)
    return (p * scale).replacing(with: 0, where: isTiny)
  }

  @inline(__always)
  private static func forEachGroup(
    _ values: UnsafeBufferPointer<Float>, padding: Float, _ body: (Int, Lanes) -> Void
  ) {
    guard let base = values.baseAddress else { return }
    var start = 0
    while start + lanes <= values.count {
      body(start, UnsafeRawPointer(base + start).loadUnaligned(as: Lanes.self))
      start += lanes
    }
    guard start < values.count else { return }
    var group = Lanes(repeating: padding)
    for lane in 0..<values.count - start { group[lane] = values[start + lane] }
    body(start, group)
  }
}
