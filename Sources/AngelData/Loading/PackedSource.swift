/// Samples of different lengths packed into batches of bounded size: supervised fine-tuning.
///
/// Samples are put into bins of at most `rowLimit` rows, the longest first, each where it leaves the least room (best fit
/// decreasing), so that little is padded or wasted; without packing, `batchSize` samples make a batch. Bins are made once
/// from the lengths; each epoch visits them in another order. Rows of different samples never see each other, because a
/// batch carries its bounds.
public struct PackedSource: BatchSource {
  private let samples: [TokenSample]
  private let bins: [[Int]]
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
  public init(_ samples: [TokenSample], packing: Packing, seed: UInt64, shuffles: Bool = true, name: String)
    throws(DataError)
  {
    guard !samples.isEmpty else { throw .unusable(path: name, reason: "no row is left to train on") }
    self.samples = samples
    self.seed = seed
    self.shuffles = shuffles
    switch packing {
    case .rows(let limit):
      bins = Self.bins(lengths: samples.map { $0.count - 1 }, limit: limit)
      rowLimit = limit
    case .samples(let size):
      // Samples of one batch are spread over the file, so that its order does not matter.
      let order = Permutation(count: samples.count, seed: seed, stream: .max - 1)
      bins = stride(from: 0, to: samples.count, by: size).map { start in
        (start..<min(start + size, samples.count)).map { shuffles ? order[$0] : $0 }
      }
      rowLimit = bins.map { bin in bin.reduce(0) { $0 + samples[$1].count - 1 } }.max() ?? 1
    }
  }

  public var batchesPerEpoch: Int { bins.count }
  public var trainedTokensPerEpoch: Int { samples.reduce(0) { $0 + $1.trainedCount } }

  public func batch(_ index: Int) throws -> TokenBatch {
    let (epoch, place) = index.quotientAndRemainder(dividingBy: bins.count)
    let order = Permutation(count: bins.count, seed: seed, stream: UInt64(epoch))
    var batch = TokenBatch()
    for sample in bins[shuffles ? order[place] : place] { batch.append(samples[sample]) }
    return batch
  }

  /// Best fit decreasing; ties by index, so that bins are a function of the lengths alone.
  static func bins(lengths: [Int], limit: Int) -> [[Int]] {
    let order = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
    var bins: [[Int]] = []
    // Bins by the room they have left.
    var open = [[Int]](repeating: [], count: limit + 1)
    for sample in order {
      let length = lengths[sample]
      precondition(length > 0 && length <= limit, "a sample of \(length) rows for bins of \(limit)")
      if let room = (length...limit).first(where: { !open[$0].isEmpty }), let bin = open[room].popLast() {
        bins[bin].append(sample)
        open[room - length].append(bin)
      } else {
        open[limit - length].append(bins.count)
        bins.append([sample])
      }
    }
    return bins
  }
}
