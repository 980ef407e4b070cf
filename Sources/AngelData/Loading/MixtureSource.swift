import AngelCore

/// Several sources of batches by turns, each as often as its weight says: a mixture of tasks.
///
/// Batches of a run are dealt from a cycle of slots in which every source has its share, in a shuffled order; which
/// batch of its source a slot is, is arithmetic in the number of the slot. A source that is dealt more often than it
/// has batches goes on with its next epoch, in another order.
public struct MixtureSource: BatchSource {
  private let sources: [any BatchSource]
  /// The source of each slot.
  private let slots: [Int]
  /// For each slot, how many slots before it are its source's.
  private let before: [Int]
  private let counts: [Int]

  /// Slots of a cycle: shares are rounded to thousandths, but nobody goes without.
  private static let cycle = 1000

  /// - Parameter weights: as many as sources, each above zero.
  public init(_ sources: [any BatchSource], weights: [Double], seed: UInt64) {
    precondition(
      sources.count == weights.count && !sources.isEmpty && weights.allSatisfy { $0 > 0 && $0.isFinite },
      "a mixture of \(sources.count) sources with weights \(weights)")
    self.sources = sources
    let total = weights.reduce(0, +)
    let dealt = weights.enumerated().flatMap { index, weight in
      [Int](repeating: index, count: max(1, Int((weight / total * Double(Self.cycle)).rounded())))
    }
    let order = Permutation(count: dealt.count, seed: seed, stream: .max - 3)
    slots = dealt.indices.map { dealt[order[$0]] }
    var counts = [Int](repeating: 0, count: sources.count)
    before = slots.map { source in
      defer { counts[source] += 1 }
      return counts[source]
    }
    self.counts = counts
  }

  public var rowLimit: Int { sources.map(\.rowLimit).max() ?? 1 }
  /// As many as all sources have together.
  public var batchesPerEpoch: Int { sources.reduce(0) { $0 + $1.batchesPerEpoch } }

  public func batch(_ index: Int) throws -> TokenBatch {
    let (source, own) = place(index)
    return try sources[source].batch(own)
  }

  /// The source of batch `index` of the run, and its number there.
  func place(_ index: Int) -> (source: Int, batch: Int) {
    let (cycle, slot) = index.quotientAndRemainder(dividingBy: slots.count)
    let source = slots[slot]
    return (source, cycle * counts[source] + before[slot])
  }
}
