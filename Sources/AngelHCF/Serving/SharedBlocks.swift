import AngelMemory

/// The cache's blocks, shared by sequences that begin with the same tokens: each user holds a reference, and so does the
/// prefix tree, which keeps blocks after their last user until their place is needed.
final class SharedBlocks {
  private let pool: BlockPool
  private var tree = PrefixTree()

  init(_ pool: BlockPool) { self.pool = pool }

  /// Blocks that may be in use at once.
  var limit: Int { pool.limit }
  /// Blocks that are free or kept for prefixes only: what sequences may still take.
  var availableCount: Int { pool.freeCount + tree.unusedCount }
  /// Blocks kept for prefixes only.
  var keptCount: Int { tree.unusedCount }
  /// Blocks that sequences use.
  var usedCount: Int { pool.usedCount - tree.unusedCount }

  /// What is cached of a text.
  struct Prefix {
    fileprivate(set) var places: [PrefixTree.NodeID] = []
    fileprivate(set) var blocks: [BlockIndex] = []
    /// How many of the blocks nobody uses: they count as available until the prefix is taken.
    fileprivate(set) var unusedCount = 0
  }

  /// The longest cached beginning of the first `count` of `tokens`, in whole blocks.
  func prefix(of tokens: [Int32], count: Int) -> Prefix {
    var prefix = Prefix()
    for place in tree.path(of: tokens, count: count) {
      guard let block = tree.block(at: place) else { break }
      prefix.places.append(place)
      prefix.blocks.append(block)
      if pool.referenceCount(of: block) == 1 { prefix.unusedCount += 1 }
    }
    return prefix
  }

  /// Adds a user to the blocks of a prefix, which must have been looked up since blocks were last allocated.
  func take(_ prefix: Prefix) {
    for (place, block) in zip(prefix.places, prefix.blocks) {
      pool.retain(block)
      tree.markUsed(place)
    }
  }

  /// New blocks with one user, in place of kept ones where none are free. None at all, and an error, where there are too
  /// few.
  func allocate(_ count: Int) throws(MemoryError) -> [BlockIndex] {
    while pool.freeCount < count, removeOldest() {}
    while true {
      do { return try pool.allocate(count: count) } catch {
        // The pool's pages may run out before its limit: then kept blocks are all there is.
        guard removeOldest() else { throw error }
      }
    }
  }

  private func removeOldest() -> Bool {
    guard let blocks = tree.removeOldest() else { return false }
    for block in blocks { pool.release(block) }
    return true
  }

  /// Takes a user from the blocks of a sequence, given in the order of its tokens.
  func release(_ blocks: [BlockIndex]) {
    // Ends first, so that they are given up before what they hang on.
    for block in blocks.reversed() {
      pool.release(block)
      guard pool.referenceCount(of: block) == 1, let place = tree.place(of: block) else { continue }
      tree.markUnused(place)
    }
  }

  /// Whether giving a block back would make it available: its only user is the asker. `isShared`: it is in the tree.
  func isReleasable(_ block: BlockIndex, isShared: Bool) -> Bool {
    pool.referenceCount(of: block) == (isShared ? 2 : 1)
  }

  /// The byte offsets of blocks from the arena.
  func offsets(of blocks: [BlockIndex]) -> [Int64] { blocks.map { Int64(pool.byteOffset(of: $0)) } }

  /// Enters a full block of a sequence for others to find: tokens `start` ..< `start + 16` of `tokens`, after the block at
  /// `parent`. Where the tree holds another block of the same tokens, that one takes the place of this one.
  func share(
    _ block: BlockIndex, _ tokens: [Int32], from start: Int, below parent: PrefixTree.NodeID
  ) -> (place: PrefixTree.NodeID, block: BlockIndex)? {
    guard let place = tree.insert(block, tokens, from: start, below: parent), let held = tree.block(at: place) else {
      return nil
    }
    // The tree's own reference, or the sequence's to the block it is given instead.
    pool.retain(held)
    if held == block { return (place, block) }
    tree.markUsed(place)
    pool.release(block)
    return (place, held)
  }

  /// Checks pool, tree and their counts, given every block that sequences use, once for each user; for tests.
  func checkInvariants(users: [BlockIndex]) throws(MemoryError) {
    try pool.checkInvariants()
    try tree.checkInvariants()
    var counts = Dictionary(users.map { ($0, 1) }, uniquingKeysWith: +)
    for (block, isUnused) in tree.contents {
      guard isUnused == (counts[block] == nil) else { throw .invariant("block \(block.rawValue) in the wrong line") }
      counts[block, default: 0] += 1
    }
    for (block, count) in counts where pool.referenceCount(of: block) != count {
      throw .invariant("block \(block.rawValue) has \(pool.referenceCount(of: block)) references, not \(count)")
    }
    guard counts.count == pool.usedCount else { throw .invariant("\(pool.usedCount - counts.count) blocks leaked") }
  }
}
