/// Windows of equal length cut from one stream of tokens: pretraining.
///
/// The stream is cut into windows of `length` + 1 tokens that share one token with the next; each epoch begins the cuts at
/// another offset and visits the windows in another order, so no boundary is special. Everything is arithmetic in
/// (seed, batch number).
public struct WindowSource: BatchSource {
  private let tokens: TokenStream
  private let length: Int
  private let batchSize: Int
  private let seed: UInt64
  private let shuffles: Bool

  /// - Parameters:
  ///   - length: tokens read by each sequence.
  ///   - batchSize: sequences in a batch.
  public init(_ tokens: TokenStream, length: Int, batchSize: Int, seed: UInt64, shuffles: Bool = true) throws(DataError)
  {
    guard tokens.count > length else {
      throw .unusable(
        path: tokens.name,
        reason: "\(tokens.count) tokens are too few for one sequence of \(length) and its next token; "
          + "lower 'sequence_length' or bring more text")
    }
    self.tokens = tokens
    self.length = length
    self.batchSize = batchSize
    self.seed = seed
    self.shuffles = shuffles
  }

  public var rowLimit: Int { length * batchSize }
  public var batchesPerEpoch: Int { max(1, windowCount / batchSize) }

  /// Windows that fit whatever the offset is; at least one.
  private var windowCount: Int { max(1, (tokens.count - length) / length) }

  public func batch(_ index: Int) throws -> TokenBatch {
    var batch = TokenBatch()
    for entry in (index * batchSize)..<((index + 1) * batchSize) {
      batch.append(TokenSample(try tokens[window(entry)]))
    }
    return batch
  }

  /// Where window `entry` of the whole run stands. A batch may straddle two epochs.
  private func window(_ entry: Int) -> Range<Int> {
    let (epoch, place) = entry.quotientAndRemainder(dividingBy: windowCount)
    guard shuffles else { return range(place, offset: 0) }
    let order = Permutation(count: windowCount, seed: seed, stream: UInt64(epoch))
    let slack = tokens.count - 1 - windowCount * length
    let offset = slack == 0 ? 0 : Permutation(count: slack + 1, seed: seed, stream: .max)[epoch % (slack + 1)]
    return range(order[place], offset: offset)
  }

  private func range(_ window: Int, offset: Int) -> Range<Int> {
    let start = offset + window * length
    return start..<(start + length + 1)
  }
}
