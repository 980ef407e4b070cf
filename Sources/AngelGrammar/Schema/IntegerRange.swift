/// Integers between bounds, as they are written.
enum IntegerRange {
  /// Where a side is open, numbers go on to this many digits.
  private static let openLimit = 9_999_999_999_999_999

  /// The integers from `least` to `most`, nil where there is no bound; nil: there is none.
  static func expression(from least: Int?, to most: Int?) -> GrammarExpression? {
    let low = least ?? min(most ?? 0, -openLimit)
    let high = most ?? max(least ?? 0, openLimit)
    guard low <= high else { return nil }
    var alternatives: [GrammarExpression] = []
    if low < 0 {
      let nearest = high < 0 ? high.magnitude : 1
      alternatives.append(.sequence([.text("-"), natural(from: nearest, to: low.magnitude)]))
    }
    if high >= 0 { alternatives.append(natural(from: UInt(max(low, 0)), to: high.magnitude)) }
    return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
  }

  /// Numbers of one length at a time: those of fewer digits end at nines, those of more begin at a one with zeros.
  private static func natural(from low: UInt, to high: UInt) -> GrammarExpression {
    var alternatives: [GrammarExpression] = []
    var from = Array("\(low)".utf8)
    let last = Array("\(high)".utf8)
    while from.count < last.count {
      append(from, [UInt8](repeating: 0x39, count: from.count), to: &alternatives)
      from = [0x31] + [UInt8](repeating: 0x30, count: from.count)
    }
    append(from, last, to: &alternatives)
    return .choice(alternatives)
  }

  private static func append(_ low: [UInt8], _ high: [UInt8], to alternatives: inout [GrammarExpression]) {
    ByteSequences.split(low, high, least: 0x30, most: 0x39) { alternatives.append(.sequence($0)) }
  }
}
