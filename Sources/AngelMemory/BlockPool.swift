/// The place of a block in its pool.
public struct BlockIndex: RawRepresentable, Hashable, Comparable, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  public static func < (a: BlockIndex, b: BlockIndex) -> Bool { a.rawValue < b.rawValue }
}

/// A growing set of equally sized blocks with reference counts, carved from pages. O(1) allocate, retain and release.
///
/// A block of the key-value cache holds 16 tokens of all layers; block tables hold byte offsets from the arena's base.
/// One owner (the engine) uses a pool at a time. Blocks once carved stay with the pool until it ends.
public final class BlockPool {
  /// Bytes of one block; its first byte is 64-byte aligned.
  public let blockByteCount: Int
  /// The most blocks that may be in use at once.
  public let limit: Int
  /// What the pages are counted as.
  public let kind: MemoryKind
  private let pool: PagePool
  private let strideByteCount: Int
  private let blocksPerSlab: Int
  private var slabs: [MemoryRegion] = []
  private var offsets: [Int] = []
  private var referenceCounts: [Int32] = []
  /// Carved blocks not in use; the last one is taken next, so that a warm block is reused first.
  private var free: [BlockIndex] = []

  /// A pool of at most `limit` blocks of `blockByteCount` bytes; takes no memory yet.
  public init(pool: PagePool, blockByteCount: Int, limit: Int, kind: MemoryKind = .keyValueCache) {
    precondition(blockByteCount > 0 && blockByteCount <= HostArena.largestBudget, "blocks of \(blockByteCount) bytes")
    precondition(limit >= 0, "a limit of \(limit) blocks")
    self.pool = pool
    self.blockByteCount = blockByteCount
    self.limit = limit
    self.kind = kind
    let unit = ArenaBlocks.unitByteCount
    strideByteCount = (blockByteCount + unit - 1) / unit * unit
    blocksPerSlab = Self.slabPageCount(strideByteCount) * Page.byteCount / strideByteCount
  }

  deinit { slabs.forEach(pool.release) }

  /// Blocks in use.
  public var usedCount: Int { offsets.count - free.count }
  /// Blocks that can still be allocated before the limit (the page pool may refuse earlier).
  public var freeCount: Int { limit - usedCount }
  /// Blocks carved so far.
  public var carvedCount: Int { offsets.count }
  /// Bytes taken from the page pool so far.
  public var byteCount: Int { slabs.reduce(0) { $0 + $1.byteCount } }
  /// The address that byte offsets count from.
  public var baseAddress: UnsafeMutableRawPointer { pool.baseAddress }

  /// A block with one reference, contents undefined.
  ///
  /// Throws `.blocksExhausted` at the limit and `.exhausted` where the page pool has no pages left.
  public func allocate() throws(MemoryError) -> BlockIndex {
    if free.isEmpty { try carveSlab() }
    let index = free.removeLast()
    referenceCounts[index.rawValue] = 1
    return index
  }

  /// `count` blocks with one reference each, or none at all.
  public func allocate(count: Int) throws(MemoryError) -> [BlockIndex] {
    precondition(count >= 0, "\(count) blocks")
    guard count <= freeCount else { throw .blocksExhausted(limit: limit, blockByteCount: blockByteCount) }
    while free.count < count { try carveSlab() }
    return (0..<count).map { _ in
      let index = free.removeLast()
      referenceCounts[index.rawValue] = 1
      return index
    }
  }

  /// Adds a reference, for a prefix shared by several sequences.
  public func retain(_ index: BlockIndex) {
    checkInUse(index)
    referenceCounts[index.rawValue] += 1
  }

  /// Drops a reference; true when it was the last one and the block is free again.
  @discardableResult
  public func release(_ index: BlockIndex) -> Bool {
    checkInUse(index)
    referenceCounts[index.rawValue] -= 1
    guard referenceCounts[index.rawValue] == 0 else { return false }
    free.append(index)
    return true
  }

  /// References to a block; 0 when it is free.
  public func referenceCount(of index: BlockIndex) -> Int { Int(referenceCounts[index.rawValue]) }

  /// Bytes from the arena's base to the block.
  public func byteOffset(of index: BlockIndex) -> Int { offsets[index.rawValue] }

  /// The block's bytes.
  public func bytes(of index: BlockIndex) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: pool.baseAddress + offsets[index.rawValue], count: blockByteCount)
  }

  private func checkInUse(_ index: BlockIndex) {
    precondition(
      referenceCounts.indices.contains(index.rawValue) && referenceCounts[index.rawValue] > 0,
      "block \(index.rawValue) is not in use")
  }

  private func carveSlab() throws(MemoryError) {
    let count = min(blocksPerSlab, limit - offsets.count)
    guard count > 0 else { throw .blocksExhausted(limit: limit, blockByteCount: blockByteCount) }
    let slab = try slab(of: count)
    let first = offsets.count
    let carved = slab.byteCount / strideByteCount
    slabs.append(slab)
    for position in 0..<carved { offsets.append(slab.offset + position * strideByteCount) }
    referenceCounts.append(contentsOf: repeatElement(0, count: carved))
    // Reversed, so that blocks are handed out by ascending address.
    for index in (first..<first + carved).reversed() { free.append(BlockIndex(rawValue: index)) }
  }

  /// Pages for `count` blocks, or for one where the budget is nearly used up.
  private func slab(of count: Int) throws(MemoryError) -> MemoryRegion {
    do {
      return try pool.allocate(byteCount: count * strideByteCount, kind: kind)
    } catch {
      guard count > 1 else { throw error }
      return try pool.allocate(byteCount: strideByteCount, kind: kind)
    }
  }

  /// The least number of pages, up to 8, that blocks fill to 99 %; the best of them where none is filled so well.
  static func slabPageCount(_ strideByteCount: Int) -> Int {
    let first = Page.count(holding: strideByteCount)
    var (best, bestWaste) = (first, 1.0)
    for pageCount in first...max(first, 8) {
      let waste = Double(pageCount * Page.byteCount % strideByteCount) / Double(pageCount * Page.byteCount)
      if waste <= 0.01 { return pageCount }
      if waste < bestWaste { (best, bestWaste) = (pageCount, waste) }
    }
    return best
  }

  /// Checks counts, the free list and that no two blocks overlap, for tests.
  public func checkInvariants() throws(MemoryError) {
    guard offsets.count == referenceCounts.count, offsets.count <= limit else {
      throw .invariant("\(offsets.count) blocks carved of \(limit)")
    }
    guard Set(free).count == free.count else { throw .invariant("a block is free twice") }
    for index in free where referenceCounts[index.rawValue] != 0 {
      throw .invariant("free block \(index.rawValue) has \(referenceCounts[index.rawValue]) references")
    }
    guard referenceCounts.count(where: { $0 == 0 }) == free.count, !referenceCounts.contains(where: { $0 < 0 }) else {
      throw .invariant("a block without references is not free")
    }
    let sorted = offsets.sorted()
    for (a, b) in zip(sorted, sorted.dropFirst()) where a + blockByteCount > b {
      throw .invariant("blocks at \(a) and \(b) overlap")
    }
  }
}
