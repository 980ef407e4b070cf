/// How long a planned tensor lives, in steps of a trace, both ends included.
public struct Lifetime: Equatable, Sendable {
  public let byteCount: Int
  public let firstUse: Int
  public let lastUse: Int
  public init(byteCount: Int, firstUse: Int, lastUse: Int) {
    precondition(byteCount >= 0, "a tensor of \(byteCount) bytes")
    precondition(firstUse <= lastUse, "a tensor last used at \(lastUse) before its first use at \(firstUse)")
    self.byteCount = byteCount
    self.firstUse = firstUse
    self.lastUse = lastUse
  }
}

/// Where each planned tensor lies.
public struct AddressPlan: Equatable, Sendable {
  /// Byte offset of each tensor, in the order of the lifetimes.
  public let offsets: [Int]
  /// Bytes the arena needs.
  public let peakByteCount: Int
  /// The most bytes that live at one time: no plan needs fewer.
  public let leastByteCount: Int
}

/// Gives tensors with known lifetimes fixed addresses, so that those which live at the same time never overlap.
///
/// The problem (dynamic storage allocation) is NP-hard. Three greedy orders are tried and the smallest plan is kept:
/// by size (Pisarchyk and Lee, arXiv:2001.03288), by size x length of life, and by first use; each tensor takes the
/// tightest gap between those already placed that live at the same time. O(n²) in the number of tensors.
public struct AddressPlanner: Sendable {
  /// Offsets are multiples of this; a power of two is not required.
  public let alignment: Int

  public init(alignment: Int = 64) {
    precondition(alignment > 0, "an alignment of \(alignment)")
    self.alignment = alignment
  }

  /// Offsets for `lifetimes` and the bytes they need together.
  public func plan(_ lifetimes: [Lifetime]) -> AddressPlan {
    let least = leastByteCount(lifetimes)
    var best: [Int]?
    var bestPeak = Int.max
    for order in orders(lifetimes) {
      let (offsets, peak) = place(lifetimes, in: order)
      if peak < bestPeak { (best, bestPeak) = (offsets, peak) }
      if bestPeak == least { break }
    }
    return AddressPlan(offsets: best ?? [], peakByteCount: best == nil ? 0 : bestPeak, leastByteCount: least)
  }

  /// The most aligned bytes alive at one step.
  public func leastByteCount(_ lifetimes: [Lifetime]) -> Int {
    // Births at a step count before deaths, which take effect after it.
    var changes: [(step: Int, isDeath: Bool, size: Int)] = []
    for lifetime in lifetimes {
      changes.append((lifetime.firstUse, false, aligned(lifetime.byteCount)))
      changes.append((lifetime.lastUse, true, aligned(lifetime.byteCount)))
    }
    changes.sort { ($0.step, $0.isDeath ? 1 : 0) < ($1.step, $1.isDeath ? 1 : 0) }
    var (live, peak) = (0, 0)
    for change in changes {
      live += change.isDeath ? -change.size : change.size
      peak = max(peak, live)
    }
    return peak
  }

  private func aligned(_ byteCount: Int) -> Int { (byteCount + alignment - 1) / alignment * alignment }

  private func orders(_ lifetimes: [Lifetime]) -> [[Int]] {
    let sizes = lifetimes.map { Double(aligned($0.byteCount)) }
    let areas = zip(sizes, lifetimes).map { $0 * Double($1.lastUse - $1.firstUse + 1) }
    let indices = Array(lifetimes.indices)
    return [
      indices.sorted { (-sizes[$0], $0) < (-sizes[$1], $1) }, indices.sorted { (-areas[$0], $0) < (-areas[$1], $1) },
      indices.sorted { (lifetimes[$0].firstUse, -sizes[$0], $0) < (lifetimes[$1].firstUse, -sizes[$1], $1) },
    ]
  }

  private func place(_ lifetimes: [Lifetime], in order: [Int]) -> (offsets: [Int], peak: Int) {
    var offsets = [Int](repeating: 0, count: lifetimes.count)
    var placed: [Placement] = []  // by ascending offset
    placed.reserveCapacity(lifetimes.count)
    var peak = 0
    for index in order {
      let lifetime = lifetimes[index]
      let size = aligned(lifetime.byteCount)
      let offset = size == 0 ? 0 : tightestGap(for: lifetime, size: size, among: placed)
      offsets[index] = offset
      guard size > 0 else { continue }
      peak = max(peak, offset + size)
      let placement = Placement(
        offset: offset, end: offset + size, firstUse: lifetime.firstUse, lastUse: lifetime.lastUse)
      placed.insert(placement, at: placed.partitioningIndex { $0.offset >= offset })
    }
    return (offsets, peak)
  }

  private struct Placement {
    let offset, end, firstUse, lastUse: Int
  }

  private func tightestGap(for lifetime: Lifetime, size: Int, among placed: [Placement]) -> Int {
    var (best, bestRoom, end) = (-1, Int.max, 0)
    for other in placed where other.firstUse <= lifetime.lastUse && lifetime.firstUse <= other.lastUse {
      let room = other.offset - end
      if room >= size, room < bestRoom { (best, bestRoom) = (end, room) }
      end = max(end, other.end)
    }
    return best >= 0 ? best : end
  }
}

extension Array {
  /// The first index whose element satisfies `predicate`, when all elements that do come after those that do not.
  fileprivate func partitioningIndex(where predicate: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if predicate(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
