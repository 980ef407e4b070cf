/// A set of Unicode characters (scalar values), as ranges.
struct ScalarSet: Equatable, Sendable {
  /// Ascending, apart from one another, without surrogates.
  private(set) var ranges: [ClosedRange<UInt32>] = []

  /// The largest scalar value.
  private static let last: UInt32 = 0x10FFFF
  private static let surrogates: ClosedRange<UInt32> = 0xD800...0xDFFF

  init() {}

  init(_ ranges: [ClosedRange<UInt32>]) {
    // In order, each comes last: however many there are, that is quick.
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) { insert(range) }
  }

  init(_ scalars: some Sequence<Unicode.Scalar>) {
    for scalar in scalars { insert(scalar.value...scalar.value) }
  }

  /// Every character.
  static let all = ScalarSet([0...last])
  /// Those of one byte in UTF-8, and the others.
  static let ascii = ScalarSet([0...0x7F])
  static let beyondASCII = ascii.inverted

  var isEmpty: Bool { ranges.isEmpty }

  func contains(_ value: UInt32) -> Bool { ranges.contains { $0.contains(value) } }

  mutating func insert(_ range: ClosedRange<UInt32>) {
    let upper = min(range.upperBound, Self.last)
    guard range.lowerBound <= upper else { return }
    // Surrogates are no characters: a range across them is two.
    for part in [(range.lowerBound, min(upper, 0xD7FF)), (max(range.lowerBound, 0xE000), upper)] where part.0 <= part.1
    {
      insertPlain(part.0...part.1)
    }
  }

  private mutating func insertPlain(_ range: ClosedRange<UInt32>) {
    var (low, high) = (range.lowerBound, range.upperBound)
    guard let last = ranges.last else { return ranges = [range] }
    if last.lowerBound <= low {
      if last.upperBound < low, last.upperBound + 1 < low {
        ranges.append(range)
      } else {
        ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, high)
      }
      return
    }
    var result: [ClosedRange<UInt32>] = []
    var after: [ClosedRange<UInt32>] = []
    for other in ranges {
      if other.upperBound < low, other.upperBound + 1 < low {
        result.append(other)
      } else if other.lowerBound > high, other.lowerBound - 1 > high {
        after.append(other)
      } else {
        (low, high) = (min(low, other.lowerBound), max(high, other.upperBound))
      }
    }
    ranges = result + [low...high] + after
  }

  mutating func formUnion(_ other: ScalarSet) {
    for range in other.ranges { insertPlain(range) }
  }

  /// The characters that are not in this set.
  var inverted: ScalarSet {
    var result = ScalarSet()
    var low: UInt32 = 0
    for range in ranges {
      if range.lowerBound > low { result.insert(low...(range.lowerBound - 1)) }
      low = range.upperBound + 1
    }
    if low <= Self.last { result.insert(low...Self.last) }
    return result
  }

  /// The characters in both.
  func intersection(_ other: ScalarSet) -> ScalarSet {
    var outside = inverted
    outside.formUnion(other.inverted)
    return outside.inverted
  }

  /// One of these characters in UTF-8.
  var expression: GrammarExpression {
    var single = ByteSet()
    var alternatives: [GrammarExpression] = []
    for range in ranges {
      for part in Self.lengths where part.overlaps(range) {
        let clamped = range.clamped(to: part)
        if part.upperBound == 0x7F {
          single.insert(UInt8(clamped.lowerBound)...UInt8(clamped.upperBound))
        } else {
          ByteSequences.split(
            Self.encoded(clamped.lowerBound), Self.encoded(clamped.upperBound), least: 0x80, most: 0xBF
          ) { alternatives.append(.sequence($0)) }
        }
      }
    }
    if !single.isEmpty { alternatives.insert(.oneOf(single), at: 0) }
    return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
  }

  /// The characters of one to four bytes.
  private static let lengths: [ClosedRange<UInt32>] = [0...0x7F, 0x80...0x7FF, 0x800...0xFFFF, 0x1_0000...last]

  private static func encoded(_ value: UInt32) -> [UInt8] { Unicode.Scalar(value).map { Array($0.utf8) } ?? [] }
}
