/// Samples of different lengths packed into batches of bounded size: supervised fine-tuning.
///
/// Samples are put into bins of at most `rowLimit` rows so that little is padded or wasted; without packing, `batchSize`
/// samples make a batch. Bins are made once from the lengths; each epoch visits them in another order. Samples are read
/// when their batch is asked for. Rows of different samples never see each other, because a batch carries its bounds.
public struct PackedSource: BatchSource {
  private let samples: TokenSamples
  private let bins: Bins
  private let seed: UInt64
  private let shuffles: Bool
  public let rowLimit: Int

  /// How samples share batches.
  public enum Packing: Sendable, Hashable {
    /// As many samples as fit into this many rows.
    case rows(Int)
    /// This many samples, however long.
    case samples(Int)
  }

  /// - Parameter samples: each of at least two tokens and, when packing by rows, not longer than a bin.
  public init(_ samples: TokenSamples, packing: Packing, seed: UInt64, shuffles: Bool = true, name: String)
    throws(DataError)
  {
    guard samples.count > 0 else { throw .unusable(path: name, reason: "no row is left to train on") }
    self.samples = samples
    self.seed = seed
    self.shuffles = shuffles
    func rows(_ sample: Int) -> Int { samples.length(of: sample) - 1 }
    switch packing {
    case .rows(let limit):
      bins = Bins(count: samples.count, limit: limit, length: rows)
      rowLimit = limit
    case .samples(let size):
      // Samples of one batch are spread over the file, so that its order does not matter.
      let order = Permutation(count: samples.count, seed: seed, stream: .max - 1)
      let bins = Bins(count: samples.count, size: size) { shuffles ? order[$0] : $0 }
      self.bins = bins
      rowLimit = (0..<bins.count).map { bins[$0].reduce(0) { $0 + rows(Int($1)) } }.max() ?? 1
    }
  }

  public var batchesPerEpoch: Int { bins.count }

  public func batch(_ index: Int) throws -> TokenBatch {
    let (epoch, place) = index.quotientAndRemainder(dividingBy: bins.count)
    let order = Permutation(count: bins.count, seed: seed, stream: UInt64(epoch))
    var batch = TokenBatch()
    for sample in bins[shuffles ? order[place] : place] { batch.append(try samples[Int(sample)]) }
    return batch
  }
}
