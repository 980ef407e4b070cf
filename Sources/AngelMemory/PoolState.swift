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
    let (index, pages) = try taken(units, for: kind, asked: byteCount, in: arena)
    let block = blocks.blocks[Int(index)]
    let unitsPerPage = ArenaBlocks.unitsPerPage
    // Of the pages that were taken for it, those behind the block are nobody's again.
    let end = (block.offset + block.length - 1) / unitsPerPage + 1
    do { try supply(pages.lowerBound..<max(pages.lowerBound, min(pages.upperBound, end)), in: arena) } catch {
      blocks.give(index)
      throw error
    }
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
    let missing = Page.count(holding: byteCount) - (arena.residentPageCount - blocks.ownedPageCount)
    guard missing > 0 else { return }
    guard missing <= arena.budget / Page.byteCount - arena.residentPageCount else {
      throw exhausted(byteCount, .workspace, arena)
    }
    // Which pages does not matter, since their memory may be moved. Pages without memory are nobody's, and with the addresses
    // that are left at least as many as the budget has.
    let empty = blocks.freePages(missing) { !arena.isResident($0) }
    let first = blocks.length / ArenaBlocks.unitsPerPage
    let fresh = missing - empty.count
    if fresh > 0 { blocks.extend(byPages: fresh) }
    for page in empty + Array(first..<(first + fresh)) { try arena.touch(page) }
  }

  /// A block, behind all others where no free one fits.
  private mutating func taken(
    _ units: Int, for kind: MemoryKind, asked byteCount: Int, in arena: HostArena
  ) throws(MemoryError) -> (index: Int32, pages: Range<Int>) {
    var found = blocks.take(units, for: kind)
    if found == nil {
      let missing = Page.count(holding: units * ArenaBlocks.unitByteCount) - blocks.trailingFreePages
      guard missing <= addressesLeft(arena) else { throw exhausted(byteCount, kind, arena) }
      blocks.extend(byPages: missing)
      found = blocks.take(units, for: kind)
    }
    guard let found else { throw .invariant("no room after growing") }
    guard blocks.ownedPageCount <= arena.budget / Page.byteCount else {
      blocks.give(found.index)
      throw exhausted(byteCount, kind, arena)
    }
    return found
  }

  /// Gives owned pages memory: that of pages nobody owns, and new memory where there are no more of those.
  private func supply(_ pages: Range<Int>, in arena: HostArena) throws(MemoryError) {
    let empty = pages.filter { !arena.isResident($0) }
    // All other owned pages hold memory.
    let free = arena.residentPageCount - (blocks.ownedPageCount - empty.count)
    let donors = blocks.freePages(min(free, empty.count), where: arena.isResident)
    for (donor, page) in zip(donors, empty) { try arena.move(from: donor, to: page) }
    for page in empty.dropFirst(donors.count) { try arena.touch(page) }
  }

  private func addressesLeft(_ arena: HostArena) -> Int {
    arena.addressPageCount - blocks.length / ArenaBlocks.unitsPerPage
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
    // Any free memory comes to where addresses are free; those may be in pieces, between regions that stay where they are.
    let free = arena.budget - blocks.ownedPageCount * Page.byteCount
    let run = max(
      blocks.longestFree(of: .nobody) * ArenaBlocks.unitByteCount,
      (blocks.trailingFreePages + addressesLeft(arena)) * Page.byteCount)
    return .exhausted(
      requested: byteCount, kind: kind, free: free,
      largestFree: max(min(free, run), blocks.longestFree(of: BlockOwner(kind)) * ArenaBlocks.unitByteCount),
      budget: arena.budget)
  }

  func usage(in arena: HostArena) -> MemoryUsage {
    let kinds = MemoryKind.allCases.map { kind in
      var usage = counts[Int(kind.rawValue)]
      usage.pageCount = blocks.pageCounts[Int(kind.rawValue)]
      return usage
    }
    return MemoryUsage(
      kinds: kinds, peakByteCount: peakByteCount, touchedPageCount: arena.residentPageCount,
      freePageCount: arena.residentPageCount - blocks.ownedPageCount, budget: arena.budget)
  }

  func checkInvariants(_ arena: HostArena) throws(MemoryError) {
    try blocks.checkInvariants()
    let pageCount = blocks.length / ArenaBlocks.unitsPerPage
    let resident = (0..<pageCount).count(where: arena.isResident)
    guard resident == arena.residentPageCount, resident <= arena.budget / Page.byteCount else {
      throw .invariant("\(resident) pages hold memory, \(arena.residentPageCount) counted")
    }
    try blocks.forEachOwnedPage { page throws(MemoryError) in
      guard arena.isResident(page) else { throw .invariant("page \(page) is in use without memory") }
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
