/// Which tokens may come next: a bit a token.
public struct TokenMask: Equatable, Sendable {
  /// 64 tokens a word, the first in the lowest bit.
  public private(set) var words: [UInt64]
  /// Tokens there are.
  public let count: Int

  /// A mask that allows no token.
  public init(count: Int) {
    words = [UInt64](repeating: 0, count: (count + 63) / 64)
    self.count = count
  }

  public func allows(_ token: Int) -> Bool { words[token >> 6] >> UInt64(token & 63) & 1 == 1 }

  public mutating func allow(_ token: Int) { words[token >> 6] |= 1 << UInt64(token & 63) }

  /// How many tokens may come.
  public var allowedCount: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Writes logits with −infinity for every token that may not come; tokens beyond the mask may not.
  public func apply(to logits: UnsafeBufferPointer<Float>, into output: inout [Float]) {
    if output.count != logits.count { output = [Float](repeating: 0, count: logits.count) }
    words.withUnsafeBufferPointer { words in
      output.withUnsafeMutableBufferPointer { output in
        for (index, word) in words.enumerated() {
          let first = index << 6
          guard first < logits.count else { return }
          let range = first..<min(first + 64, logits.count)
          // Whatever is rarer is set one by one.
          if word.nonzeroBitCount > 32 {
            for place in range { output[place] = logits[place] }
            forEachBit(of: ~word) { if first + $0 < range.upperBound { output[first + $0] = -.infinity } }
          } else {
            for place in range { output[place] = -.infinity }
            forEachBit(of: word) { if first + $0 < range.upperBound { output[first + $0] = logits[first + $0] } }
          }
        }
        for place in min(words.count << 6, logits.count)..<logits.count { output[place] = -.infinity }
      }
    }
  }

  @inline(__always)
  private func forEachBit(of word: UInt64, _ body: (Int) -> Void) {
    var rest = word
    while rest != 0 {
      body(rest.trailingZeroBitCount)
      rest &= rest &- 1
    }
  }
}
