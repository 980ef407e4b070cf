/// All byte sequences of one length between two, in the order of dictionaries.
enum ByteSequences {
  /// Calls `body` with sequences of byte ranges that together are those from `low` to `high`; after a byte that is neither the
  /// first nor the last possible, every byte from `least` to `most` follows.
  static func split(
    _ low: [UInt8], _ high: [UInt8], least: UInt8, most: UInt8, _ body: ([GrammarExpression]) -> Void
  ) {
    func range(_ first: UInt8, _ last: UInt8) -> GrammarExpression {
      var set = ByteSet()
      set.insert(first...last)
      return .oneOf(set)
    }
    /// The sequences that agree in `done` and then run from `low` to `high`.
    func split(_ done: [GrammarExpression], _ low: ArraySlice<UInt8>, _ high: ArraySlice<UInt8>) {
      guard let first = low.first, let last = high.first else { return body(done) }
      let (lowRest, highRest) = (low.dropFirst(), high.dropFirst())
      if first == last { return split(done + [range(first, last)], lowRest, highRest) }
      var (from, to) = (first, last)
      let isWholeLow = lowRest.allSatisfy { $0 == least }
      let isWholeHigh = highRest.allSatisfy { $0 == most }
      if !isWholeLow {
        split(done + [range(first, first)], lowRest, ArraySlice(repeatElement(most, count: lowRest.count)))
        from += 1
      }
      if !isWholeHigh { to -= 1 }
      if from <= to { body(done + [range(from, to)] + lowRest.map { _ in range(least, most) }) }
      if !isWholeHigh {
        split(done + [range(last, last)], ArraySlice(repeatElement(least, count: highRest.count)), highRest)
      }
    }
    split([], low[...], high[...])
  }
}
