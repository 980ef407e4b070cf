/// Turns one piece into tokens by merging neighbours, lowest rank first, leftmost among equals.
///
/// Working memory for one encode at a time. Short pieces rescan their pairs after each merge; long ones keep them in
/// a heap, so that a piece of n bytes costs O(n log n) whatever it holds.
struct WordMerger: Sendable {
  private var symbols: [Int32] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var pairs: [MergeTable.Merge] = []
  private var heap = MinimumHeap<UInt64>()
  private var spelling: [UInt8] = []

  /// Up to this many letters, rescanning is faster than the heap.
  private static let rescanLimit = 48

  /// Appends the tokens of `piece`.
  mutating func encode(_ piece: UnsafeBufferPointer<UInt8>, with model: BytePairModel, into output: inout [Int32]) {
    if let token = model.wholeToken(piece, &spelling) {
      output.append(token)
      return
    }
    model.spell(piece, into: &symbols)
    if symbols.count <= Self.rescanLimit {
      mergeByRescanning(model.merges)
    } else {
      mergeByHeap(model.merges)
    }
    output.append(contentsOf: symbols)
  }

  private mutating func mergeByRescanning(_ merges: borrowing MergeTable) {
    pairs.removeAll(keepingCapacity: true)
    for index in symbols.indices.dropLast() { pairs.append(merges.find(symbols[index], symbols[index + 1])) }
    while true {
      var best = 0
      var rank = UInt32.max
      for index in pairs.indices where pairs[index].rank < rank {
        best = index
        rank = pairs[index].rank
      }
      guard rank != .max else { return }
      symbols[best] = pairs[best].result
      symbols.remove(at: best + 1)
      pairs.remove(at: best)
      if best > 0 { pairs[best - 1] = merges.find(symbols[best - 1], symbols[best]) }
      if best < pairs.count { pairs[best] = merges.find(symbols[best], symbols[best + 1]) }
    }
  }

  private mutating func mergeByHeap(_ merges: borrowing MergeTable) {
    let count = symbols.count
    next = (0..<count).map { Int32($0 + 1) }
    previous = (0..<count).map { Int32($0 - 1) }
    heap.removeAll()
    for index in 0..<(count - 1) {
      let rank = merges.find(symbols[index], symbols[index + 1]).rank
      if rank != .max { heap.push(UInt64(rank) << 32 | UInt64(index)) }
    }
    while let best = heap.pop() {
      let rank = UInt32(best >> 32)
      let position = Int(best & 0xFFFF_FFFF)
      // A pair that has changed since it was pushed has another rank, or its left symbol is gone.
      guard symbols[position] >= 0, Int(next[position]) < count else { continue }
      let right = Int(next[position])
      let merge = merges.find(symbols[position], symbols[right])
      guard merge.rank == rank else { continue }
      symbols[position] = merge.result
      symbols[right] = -1
      let after = Int(next[right])
      next[position] = Int32(after)
      if after < count {
        previous[after] = Int32(position)
        push(position, after, merges)
      }
      if previous[position] >= 0 { push(Int(previous[position]), position, merges) }
    }
    symbols.removeAll { $0 < 0 }
  }

  private mutating func push(_ left: Int, _ right: Int, _ merges: borrowing MergeTable) {
    let rank = merges.find(symbols[left], symbols[right]).rank
    if rank != .max { heap.push(UInt64(rank) << 32 | UInt64(left)) }
  }
}
