/// Finds the largest few of many numbers without sorting them: a histogram over the leading bits of the floats tells in
/// one pass which narrow range holds the border, and only that range is sorted.
enum TopSelection {
  /// Sign, exponent and three bits of mantissa: ranges of 12 %.
  private static let shift = 20
  private static let bucketCount = 1 << 12

  /// Grows with the value, over all floats but NaN.
  @inline(__always)
  private static func bucket(of value: Float) -> Int {
    let bits = value.bitPattern
    let ordered = bits >> 31 == 1 ? ~bits : bits | 0x8000_0000
    return Int(ordered >> UInt32(shift))
  }

  /// The k-th largest value, 1 ≤ k ≤ count.
  static func largest(_ k: Int, of values: UnsafeBufferPointer<Float>) -> Float {
    precondition(k >= 1 && k <= values.count, "the \(k)-th largest of \(values.count)")
    var counts = [Int](repeating: 0, count: bucketCount)
    for value in values { counts[bucket(of: value)] += 1 }
    var above = 0
    var border = bucketCount - 1
    while above + counts[border] < k {
      above += counts[border]
      border -= 1
    }
    let members = values.filter { bucket(of: $0) == border }.sorted(by: >)
    return members[k - above - 1]
  }

  /// The last token of the nucleus in the order of falling weight, equal weights by rising position.
  struct Border: Equatable {
    let weight: Float
    let position: Int
    @inline(__always)
    func includes(_ weight: Float, at position: Int) -> Bool {
      weight > self.weight || (weight == self.weight && position <= self.position)
    }
  }

  /// The border of the smallest set of largest weights whose sum reaches `share` of the total; nil when all are in it.
  ///
  /// A token is in while the sum of those before it is below share · total, so the first always is.
  static func nucleus(_ share: Float, of weights: UnsafeBufferPointer<Float>) -> Border? {
    var sums = [Double](repeating: 0, count: bucketCount)
    for weight in weights { sums[bucket(of: weight)] += Double(weight) }
    // From small to large, so that little is lost.
    let goal = sums.reduce(0, +) * Double(share)
    var before = 0.0
    var border = bucketCount - 1
    while border >= 0, before + sums[border] < goal {
      before += sums[border]
      border -= 1
    }
    guard border >= 0 else { return nil }
    let members = weights.indices.filter { bucket(of: weights[$0]) == border }
      .sorted { (-weights[$0], $0) < (-weights[$1], $1) }
    var last: Int?
    for position in members where before < goal {
      last = position
      before += Double(weights[position])
    }
    guard let last else { return nil }
    return Border(weight: weights[last], position: last)
  }

  /// Positions of the `count` largest values, largest first, equal ones by rising position.
  static func top(_ count: Int, of values: UnsafeBufferPointer<Float>) -> [Int] {
    var best: [Int] = []
    guard count > 0 else { return best }
    for position in values.indices {
      let value = values[position]
      if best.count == count {
        guard value > values[best[count - 1]] else { continue }
        best.removeLast()
      }
      let place = best.firstIndex { values[$0] < value } ?? best.count
      best.insert(position, at: place)
    }
    return best
  }
}
