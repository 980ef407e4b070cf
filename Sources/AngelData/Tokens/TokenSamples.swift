/// Samples to learn from: the documents of a token file, all or some of them, in its order or another.
///
/// Nothing is listed: which document a sample is, is arithmetic.
public struct TokenSamples: Sendable {
  private let file: TokenFile
  private let order: Permutation?
  private let range: Range<Int>

  /// All documents in the file's order.
  public init(_ file: TokenFile) {
    self.init(file, order: nil, range: 0..<file.header.documentCount)
  }

  private init(_ file: TokenFile, order: Permutation?, range: Range<Int>) {
    self.file = file
    self.order = order
    self.range = range
  }

  /// The first `count` samples of a random order, and the others.
  public func split(at count: Int, seed: UInt64, stream: UInt64) -> (TokenSamples, TokenSamples) {
    precondition(order == nil && count <= self.count, "\(count) of \(self.count) samples")
    let order = Permutation(count: self.count, seed: seed, stream: stream)
    return (
      TokenSamples(file, order: order, range: 0..<count), TokenSamples(file, order: order, range: count..<self.count)
    )
  }

  public var count: Int { range.count }

  public subscript(index: Int) -> TokenSample { get throws(DataError) { try file.sample(document(index)) } }

  /// The tokens of a sample.
  public func length(of index: Int) -> Int { file.document(document(index)).count }

  private func document(_ index: Int) -> Int {
    let place = range.lowerBound + index
    return order.map { $0[place] } ?? place
  }
}
