import AngelMemory
import AngelTensor

/// The cache's blocks, shared by sequences that begin with the same tokens: each user holds a reference, and so does
/// the prefix tree, which keeps blocks after their last user until their place is needed.
final class SharedBlocks {
  private let pool: BlockPool
  private var tree: PrefixTree
  private let windows: CacheWindows
  /// Blocks of windowed layers beside each block of the others.
  private var localCount: Int { windows.localCount }

  init(_ pool: BlockPool, _ windows: CacheWindows = .init()) {
    self.pool = pool
    self.windows = windows
    tree = PrefixTree(localCount: windows.localCount)
  }

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
    fileprivate(set) var blocks = SequenceBlocks()
    /// How many of the blocks nobody uses: they count as available until the prefix is taken.
    fileprivate(set) var unusedCount = 0
    /// Stretches of 16 tokens that are there.
    var count: Int { places.count }
  }

  /// The longest cached beginning of the first `count` of `tokens`, in whole blocks, that a sequence can go on from.
  func prefix(of tokens: [Int32], count: Int, below root: PrefixTree.NodeID) -> Prefix {
    let path = tree.path(of: tokens, count: count, below: root)
    let usable = usableCount(of: path)
    let firstLocal = localCount > 0 ? firstLocal(after: usable) : usable
    var prefix = Prefix()
    for (index, place) in path.prefix(usable).enumerated() {
      guard let block = tree.block(at: place) else { break }
      prefix.places.append(place)
      let locals = index < firstLocal ? [] : tree.locals(at: place)
      prefix.blocks.append(block, locals)
      if pool.referenceCount(of: block) == 1 { prefix.unusedCount += 1 }
      if let local = locals.first, pool.referenceCount(of: local) == 1 { prefix.unusedCount += localCount }
    }
    return prefix
  }

  /// How much of a path has the local blocks that the token after it sees.
  private func usableCount(of path: [PrefixTree.NodeID]) -> Int {
    guard localCount > 0 else { return path.count }
    var (usable, present) = (0, 0)
    for (index, place) in path.enumerated() {
      present = tree.locals(at: place).isEmpty ? 0 : present + 1
      if index + 1 - firstLocal(after: index + 1) <= present { usable = index + 1 }
    }
    return usable
  }

  /// The first stretch whose local blocks are seen by the last token of `count` stretches, or any after it.
  private func firstLocal(after count: Int) -> Int {
    max(0, CacheGeometry.blockTokens * count - windows.local) / CacheGeometry.blockTokens
  }

  /// Adds a user to the blocks of a prefix, which must have been looked up since blocks were last allocated.
  func take(_ prefix: Prefix) {
    for (place, block) in zip(prefix.places, prefix.blocks.wide) {
      pool.retain(block)
      tree.markUsed(place)
    }
    for block in prefix.blocks.local { pool.retain(block) }
    for place in prefix.places.dropFirst(prefix.blocks.droppedLocals) where localCount > 0 {
      tree.markLocalsUsed(place)
    }
  }

  /// New blocks with one user for so many stretches of 16 tokens, in place of kept ones where none are free. None at
  /// all, and an error, where there are too few.
  func extend(_ blocks: inout SequenceBlocks, by count: Int) throws(MemoryError) {
    let new = try allocate(count * (1 + localCount))
    for index in 0..<count {
      let first = index * (1 + localCount)
      blocks.append(new[first], new[(first + 1)..<(first + 1 + localCount)])
    }
  }

  private func allocate(_ count: Int) throws(MemoryError) -> [BlockIndex] {
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

  /// Takes a user from all blocks of a sequence.
  func release(_ blocks: SequenceBlocks) {
    // Ends first, so that they are given up before what they hang on.
    for index in (min(blocks.dropped, blocks.droppedLocals)..<blocks.count).reversed() {
      if index >= blocks.droppedLocals { release(locals: blocks.locals(of: index)) }
      if index >= blocks.dropped { release(wide: blocks.wide[index - blocks.dropped]) }
    }
  }

  /// Takes a user from the blocks that the token at `position`, and any after it, does not see.
  func dropUnseen(_ blocks: inout SequenceBlocks, from position: Int) {
    func first(_ window: Int) -> Int { window > 0 ? max(0, position - window + 1) / CacheGeometry.blockTokens : 0 }
    for block in blocks.dropWide(before: first(windows.wide)).reversed() { release(wide: block) }
    let locals = localCount > 0 ? blocks.dropLocals(before: first(windows.local)) : []
    for start in stride(from: 0, to: locals.count, by: max(1, localCount)).reversed() {
      release(locals: locals[start..<(start + localCount)])
    }
  }

  private func release(wide block: BlockIndex) {
    pool.release(block)
    if pool.referenceCount(of: block) == 1, let place = tree.place(of: block) { tree.markUnused(place) }
  }

  /// - Parameter locals: those of one stretch, which are held and let go of together.
  private func release(locals: ArraySlice<BlockIndex>) {
    for block in locals { pool.release(block) }
    if let first = locals.first, pool.referenceCount(of: first) == 1, let place = tree.place(of: first) {
      tree.markLocalsUnused(place)
    }
  }

  /// How many blocks of a sequence giving it up would make available: those whose only user it is. The first
  /// `sharedCount` stretches are in the tree.
  func releasableCount(of blocks: SequenceBlocks, sharedCount: Int) -> Int {
    func isReleasable(_ block: BlockIndex, _ span: Int) -> Bool {
      pool.referenceCount(of: block) == (span < sharedCount ? 2 : 1)
    }
    let wide = blocks.wide.enumerated().count { isReleasable($1, blocks.dropped + $0) }
    let local = blocks.local.enumerated().count { isReleasable($1, blocks.droppedLocals + $0 / localCount) }
    return wide + local
  }

  /// The byte offsets of a sequence's blocks from the arena, for each table. In place of dropped ones stands one that
  /// can be read, though nothing of it counts.
  func tables(of blocks: SequenceBlocks) -> [[Int64]] {
    func table(_ dropped: Int, _ held: some Sequence<BlockIndex>) -> [Int64] {
      var result: [Int64] = []
      result.reserveCapacity(blocks.count)
      for block in held {
        let offset = Int64(pool.byteOffset(of: block))
        if result.isEmpty { result.append(contentsOf: repeatElement(offset, count: dropped)) }
        result.append(offset)
      }
      return result
    }
    let locals = (0..<localCount).map { number in
      let places = stride(from: number, to: blocks.local.count, by: localCount)
      return table(blocks.droppedLocals, places.lazy.map { blocks.local[$0] })
    }
    return [table(blocks.dropped, blocks.wide)] + locals
  }

  /// Enters a full stretch of a sequence for others to find: tokens `16 * index` ..< `16 * (index + 1)` of `tokens`,
  /// after those at `parent`. Where the tree holds other blocks of the same tokens, they take the place of these. Nil:
  /// it cannot be entered.
  func share(
    _ index: Int, of blocks: inout SequenceBlocks, _ tokens: [Int32], below parent: PrefixTree.NodeID
  ) -> PrefixTree.NodeID? {
    let (wide, local) = (blocks.wide[index - blocks.dropped], blocks.locals(of: index))
    guard let place = tree.insert(wide, tokens, from: CacheGeometry.blockTokens * index, below: parent),
      let held = tree.block(at: place)
    else { return nil }
    // The tree's own reference, or the sequence's to the block it is given instead.
    pool.retain(held)
    if held != wide {
      tree.markUsed(place)
      pool.release(wide)
    }
    var locals = tree.locals(at: place)
    if locals.isEmpty {
      locals = Array(local)
      tree.insert(locals: locals, at: place)
      for block in locals { pool.retain(block) }
    } else if locals[...] != local {
      tree.markLocalsUsed(place)
      for block in locals { pool.retain(block) }
      for block in local { pool.release(block) }
    }
    blocks.replace(index, held, locals)
    return place
  }

  /// Checks pool, tree and their counts, given the blocks of every sequence; for tests.
  func checkInvariants(users: [SequenceBlocks]) throws(MemoryError) {
    try pool.checkInvariants()
    try tree.checkInvariants()
    var counts = Dictionary(users.flatMap { $0.wide + $0.local }.map { ($0, 1) }, uniquingKeysWith: +)
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
