/// A text in windows of tokens, for what is measured or calibrated on it.
enum TextWindows {
  /// Whole windows of `size` tokens without overlap, but for a text shorter than one; at most `limit` of them.
  static func cut(_ tokens: [Int32], size: Int, limit: Int = .max) -> [[Int32]] {
    guard tokens.count >= size else { return tokens.isEmpty ? [] : [tokens] }
    return (0..<min(tokens.count / size, limit)).map { Array(tokens[($0 * size)..<(($0 + 1) * size)]) }
  }
}
