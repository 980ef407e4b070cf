/// Tokens one after the other, in memory or in mapped files.
public struct TokenStream: Sendable {
  /// What messages call it.
  public let name: String
  public let count: Int
  private let read: @Sendable (Range<Int>) throws -> [Int32]

  /// Tokens in memory.
  public init(_ tokens: [Int32], name: String) {
    self.name = name
    count = tokens.count
    read = { Array(tokens[$0]) }
  }

  /// The tokens of files, in order.
  public init(_ files: [TokenFile], name: String) {
    precondition(!files.isEmpty, "a stream of no files")
    self.name = name
    let starts = files.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.header.tokenCount) }
    count = starts[starts.count - 1]
    read = { range in
      var tokens: [Int32] = []
      for (file, start) in zip(files, starts) {
        let part = range.clamped(to: start..<(start + file.header.tokenCount))
        tokens += try file.tokens((part.lowerBound - start)..<(part.upperBound - start))
      }
      return tokens
    }
  }

  public subscript(range: Range<Int>) -> [Int32] { get throws { try read(range) } }

  /// The stream's tokens from `range` on its own.
  public func slice(_ range: Range<Int>, name: String) -> TokenStream {
    TokenStream(name: name, count: range.count) { [read] inner in
      try read((inner.lowerBound + range.lowerBound)..<(inner.upperBound + range.lowerBound))
    }
  }

  private init(name: String, count: Int, read: @escaping @Sendable (Range<Int>) throws -> [Int32]) {
    self.name = name
    self.count = count
    self.read = read
  }
}
