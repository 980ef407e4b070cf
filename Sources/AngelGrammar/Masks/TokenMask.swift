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
          let count = min(64, logits.count - first)
          if word == .max, count == 64 {
            for place in first..<(first + 64) { output[place] = logits[place] }
          } else if word == 0 {
            for place in first..<(first + count) { output[place] = -.infinity }
          } else {
            for bit in 0..<count {
              output[first + bit] = word >> UInt64(bit) & 1 == 1 ? logits[first + bit] : -.infinity
            }
          }
        }
        for place in min(words.count << 6, logits.count)..<logits.count { output[place] = -.infinity }
      }
    }
  }
}
