/// What a page pool's lock protects: the blocks and the counts.
struct PoolState: ~Copyable {
  private var blocks = ArenaBlocks()
  private let counts: UnsafeMutablePointer<KindUsage>
  /// In regions of all kinds, now and at most.
  private var byteCount = 0
  private var peakByteCount = 0
  private static let kindCount = MemoryKind.allCases.count

  init() {
    counts = .allocate(capacity: Self.kindCount)
    for kind in MemoryKind.allCases { (counts + Int(kind.rawValue)).initialize(to: KindUsage(kind: kind)) }
  }

  deinit { counts.deallocate() }

  mutating func allocate(_ byteCount: Int, _ kind: MemoryKind, in arena: HostArena) throws(MemoryError) -> MemoryRegion
  {
    // Comparing first keeps the rounding below from overflowing.
    guard byteCount <= arena.budget else { throw exhausted(byteCount, kind, arena) }
    let unitByteCount = ArenaBlocks.unitByteCount
    let units = max(1, (byteCount + unitByteCount - 1) / unitByteCount)
    let index: Int32
    if let found = blocks.take(units, for: kind) {
      index = found
    } else {
      index = try growing(toHold: units, for: kind, asked: byteCount, in: arena)
    }
    let block = blocks.blocks[Int(index)]
    count(byteCount, kind)
    let offset = block.offset * unitByteCount
    return MemoryRegion(
      address: arena.base + offset, byteCount: byteCount, offset: offset, kind: kind, record: index,
      generation: block.generation)
  }

  mutating func release(_ region: MemoryRegion) {
    precondition(
      blocks.isInUse(region.record, generation: region.generation, byteOffset: region.offset),
      "a region of \(region.byteCount) bytes of \(region.kind) at offset \(region.offset) is released but not in use")
    blocks.give(region.record)
    counts[Int(region.kind.rawValue)].byteCount -= region.byteCount
    byteCount -= region.byteCount
    counts[Int(region.kind.rawValue)].regionCount -= 1
  }

  mutating func reserve(_ byteCount: Int, in arena: HostArena) throws(MemoryError) {
    let missing = Page.count(holding: byteCount) - blocks.trailingFreePages
    guard missing > 0 else { return }
    guard missing <= arena.budget / Page.byteCount - arena.usablePageCount else {
      throw exhausted(byteCount, .workspace, arena)
    }
    try arena.makeUsable(pageCount: missing)
    blocks.extend(byPages: missing)
  }

  private mutating func growing(
    toHold units: Int, for kind: MemoryKind, asked byteCount: Int, in arena: HostArena
  ) throws(MemoryError) -> Int32 {
    let missing = Page.count(holding: units * ArenaBlocks.unitByteCount) - blocks.trailingFreePages
    guard missing <= arena.budget / Page.byteCount - arena.usablePageCount else {
      throw exhausted(byteCount, kind, arena)
    }
    try arena.makeUsable(pageCount: missing)
    blocks.extend(byPages: missing)
    guard let index = blocks.take(units, for: kind) else { throw .invariant("no room after growing") }
    return index
  }

  private mutating func count(_ bytes: Int, _ kind: MemoryKind) {
    let slot = Int(kind.rawValue)
    counts[slot].byteCount += bytes
    counts[slot].regionCount += 1
    counts[slot].peakByteCount = max(counts[slot].peakByteCount, counts[slot].byteCount)
    counts[slot].peakPageCount = max(counts[slot].peakPageCount, blocks.pageCounts[slot])
    byteCount += bytes
    peakByteCount = max(peakByteCount, byteCount)
  }

  private func exhausted(_ byteCount: Int, _ kind: MemoryKind, _ arena: HostArena) -> MemoryError {
    let unitByteCount = ArenaBlocks.unitByteCount
    let owned = MemoryKind.allCases.reduce(0) { $0 + blocks.pageCounts[Int($1.rawValue)] }
    let untouched = arena.budget - arena.usablePageCount * Page.byteCount
    let largest = max(
      blocks.longestFree(for: kind) * unitByteCount, untouched + blocks.trailingFreePages * Page.byteCount)
    return .exhausted(
      requested: byteCount, kind: kind, free: arena.budget - owned * Page.byteCount, largestFree: largest,
      budget: arena.budget)
  }

  func usage(in arena: HostArena) -> MemoryUsage {
    let kinds = MemoryKind.allCases.map { kind in
      var usage = counts[Int(kind.rawValue)]
      usage.pageCount = blocks.pageCounts[Int(kind.rawValue)]
      return usage
    }
    let freePages = blocks.pageCounts[Int(BlockOwner.nobody.rawValue)]
    return MemoryUsage(
      kinds: kinds, peakByteCount: peakByteCount, touchedPageCount: arena.usablePageCount, freePageCount: freePages,
      largestFreeRunPageCount: blocks.longestFreeRun / ArenaBlocks.unitsPerPage, budget: arena.budget)
  }

  func checkInvariants(_ arena: HostArena) throws(MemoryError) {
    try blocks.checkInvariants()
    guard blocks.length == arena.usablePageCount * ArenaBlocks.unitsPerPage else {
      throw .invariant("blocks cover \(blocks.length) units, the arena has \(arena.usablePageCount) pages")
    }
    for kind in MemoryKind.allCases {
      let (held, regionCount) = held(by: kind)
      let usage = counts[Int(kind.rawValue)]
      // Each region holds its bytes rounded up to units, an empty one a whole unit.
      let slack = regionCount * ArenaBlocks.unitByteCount
      guard usage.regionCount == regionCount, usage.byteCount <= held, held <= usage.byteCount + slack else {
        throw .invariant("\(kind): \(usage.byteCount) bytes in \(usage.regionCount) regions counted, \(held) held")
      }
      guard usage.peakByteCount >= usage.byteCount else { throw .invariant("\(kind): the peak is below the use") }
    }
  }

  /// Bytes and number of the used blocks of a kind.
  private func held(by kind: MemoryKind) -> (byteCount: Int, regionCount: Int) {
    var result = (byteCount: 0, regionCount: 0)
    var index = blocks.first
    while index >= 0 {
      let block = blocks.blocks[Int(index)]
      if !block.isFree, block.owner == BlockOwner(kind) {
        result.byteCount += block.length * ArenaBlocks.unitByteCount
        result.regionCount += 1
      }
      index = block.next
    }
    return result
  }
}
