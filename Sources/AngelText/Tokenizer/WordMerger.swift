/// Turns one piece into tokens by merging neighbours, lowest rank first, leftmost among equals.
///
/// Working memory for one encode at a time. Short pieces rescan their pairs after each merge; long ones keep them in
/// a heap, so that a piece of n bytes costs O(n log n) whatever it holds.
struct WordMerger: Sendable {
  private var symbols: [Int32] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var pairs: [MergeTable.Merge] = []
  private var heap = RankHeap()
  private var cache = PieceCache()

  /// Up to this many bytes, rescanning is faster than the heap.
  private static let rescanLimit = 48

  /// Appends the tokens of `piece`.
  mutating func encode(
    _ piece: UnsafeBufferPointer<UInt8>, with model: borrowing BytePairModel, into output: inout [Int32]
  ) {
    if piece.count == 1, model.letters[Int(piece[0])] >= 0 {
      output.append(model.letters[Int(piece[0])])
      return
    }
    guard let slot = cache.slot(for: piece) else {
      merge(piece, with: model, into: &output)
      return
    }
    if cache.appendTokens(of: piece, at: slot, to: &output) { return }
    let start = output.count
    merge(piece, with: model, into: &output)
    cache.store(output[start...], of: piece, at: slot)
  }

  private mutating func merge(
    _ piece: UnsafeBufferPointer<UInt8>, with model: borrowing BytePairModel, into output: inout [Int32]
  ) {
    if let pieces = model.pieces, let token = model.pieceBytes.withEntries({ pieces.find(piece, in: $0) }) {
      output.append(token)
      return
    }
    spell(piece, with: model)
    if symbols.count <= Self.rescanLimit {
      mergeByRescanning(model.merges)
    } else {
      mergeByHeap(model.merges)
    }
    output.append(contentsOf: symbols)
  }

  /// Sets `symbols` to the letters of `piece`.
  private mutating func spell(_ piece: UnsafeBufferPointer<UInt8>, with model: borrowing BytePairModel) {
    symbols.removeAll(keepingCapacity: true)
    var previousIsUnknown = false
    for byte in piece {
      let letter = model.letters[Int(byte)]
      if letter >= 0 {
        symbols.append(letter)
      } else if let unknown = model.unknownByteToken, !(previousIsUnknown && model.fusesUnknownBytes) {
        symbols.append(unknown)
      }
      previousIsUnknown = letter < 0
    }
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
      if rank != .max { heap.push(rank: rank, position: index) }
    }
    while let (rank, position) = heap.pop() {
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
    if rank != .max { heap.push(rank: rank, position: left) }
  }
}

/// A binary heap of merges that may be done, the lowest rank first and the leftmost of equals.
private struct RankHeap: Sendable {
  private var keys: [UInt64] = []

  mutating func removeAll() { keys.removeAll(keepingCapacity: true) }

  mutating func push(rank: UInt32, position: Int) {
    var child = keys.count
    let key = UInt64(rank) << 32 | UInt64(position)
    keys.append(key)
    while child > 0 {
      let parent = (child - 1) / 2
      guard keys[parent] > key else { break }
      keys[child] = keys[parent]
      child = parent
    }
    keys[child] = key
  }

  mutating func pop() -> (rank: UInt32, position: Int)? {
    guard let first = keys.first, let last = keys.popLast() else { return nil }
    if !keys.isEmpty {
      var parent = 0
      while true {
        var child = 2 * parent + 1
        guard child < keys.count else { break }
        if child + 1 < keys.count, keys[child + 1] < keys[child] { child += 1 }
        guard keys[child] < last else { break }
        keys[parent] = keys[child]
        parent = child
      }
      keys[parent] = last
    }
    return (UInt32(first >> 32), Int(first & 0xFFFF_FFFF))
  }
}
