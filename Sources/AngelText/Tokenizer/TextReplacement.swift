/// Replacing in bytes: every match, from left to right, by the same content.
enum TextReplacement {
  /// Stops a little above `limit` bytes, so that a file cannot ask for any amount of memory.
  static func replace(_ pattern: [UInt8], _ content: [UInt8], in text: [UInt8], limit: Int = .max) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(text.count + text.count / 2)
    text.withUnsafeBufferPointer { text in
      pattern.withUnsafeBufferPointer { pattern in
        var copied = 0
        while output.count <= limit, let match = text.firstRange(of: pattern, from: copied) {
          output.append(contentsOf: UnsafeBufferPointer(rebasing: text[copied..<match.lowerBound]))
          output.append(contentsOf: content)
          copied = match.upperBound
        }
        output.append(contentsOf: UnsafeBufferPointer(rebasing: text[copied...]))
      }
    }
    return output
  }

  /// The same for the matches of a pattern; empty matches are passed over.
  static func replace(
    _ pattern: SplitPattern, _ content: [UInt8], in text: [UInt8], limit: Int = .max, _ memory: MatchMemory
  ) throws(TokenizerError) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    try text.withUnsafeBufferPointer { (bytes) throws(TokenizerError) in
      var copied = 0
      var position = 0
      while position < bytes.count, output.count <= limit,
        let match = try pattern.firstMatch(in: bytes, from: position, memory)
      {
        guard !match.isEmpty else {
          position = bytes.characterEnd(after: match.lowerBound)
          continue
        }
        output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[copied..<match.lowerBound]))
        output.append(contentsOf: content)
        copied = match.upperBound
        position = copied
      }
      output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[copied...]))
    }
    return output
  }
}
