extension ArenaBlocks {
  /// Walks all blocks and lists; throws the first contradiction.
  func checkInvariants() throws(MemoryError) {
    var free: Set<Int32> = []
    for owner in MemoryKind.allCases.map(BlockOwner.init) + [.nobody] {
      for index in try checkedFreeBlocks(of: owner) {
        guard blocks[Int(index)].owner == owner else { throw .invariant("block \(index) is in another owner's list") }
        free.insert(index)
      }
    }
    var pageOwners = [BlockOwner?](repeating: nil, count: length / Self.unitsPerPage)
    var (offset, previous, index) = (0, Int32(-1), first)
    while index >= 0 {
      try check(index, offset: offset, previous: previous, isListed: free.contains(index))
      let block = blocks[Int(index)]
      for page in block.offset / Self.unitsPerPage...(block.offset + block.length - 1) / Self.unitsPerPage {
        guard pageOwners[page] == nil || pageOwners[page] == block.owner else {
          throw .invariant("page \(page) has two owners")
        }
        pageOwners[page] = block.owner
      }
      offset += block.length
      (previous, index) = (index, block.next)
    }
    guard offset == length, previous == last else { throw .invariant("blocks end at \(offset), not \(length)") }
    for owner in MemoryKind.allCases.map(BlockOwner.init) + [.nobody] {
      let count = pageOwners.count { $0 == owner }
      guard count == pageCounts[Int(owner.rawValue)] else {
        throw .invariant("owner \(owner.rawValue) has \(count) pages, \(pageCounts[Int(owner.rawValue)]) counted")
      }
    }
  }

  /// Calls `body` with every page that somebody owns, some more than once.
  func forEachOwnedPage(_ body: (Int) throws(MemoryError) -> Void) throws(MemoryError) {
    var index = first
    while index >= 0 {
      let block = blocks[Int(index)]
      if block.owner != .nobody {
        for page in block.offset / Self.unitsPerPage...(block.offset + block.length - 1) / Self.unitsPerPage {
          try body(page)
        }
      }
      index = block.next
    }
  }

  private func check(_ index: Int32, offset: Int, previous: Int32, isListed: Bool) throws(MemoryError) {
    let block = blocks[Int(index)]
    guard block.offset == offset, block.previous == previous, block.length > 0, offset + block.length <= length else {
      throw .invariant("block \(index) does not follow its neighbour at \(offset)")
    }
    guard block.isFree == isListed else { throw .invariant("block \(index) is free and unlisted, or the reverse") }
    guard block.isFree else { return }
    if previous >= 0, blocks[Int(previous)].isFree, blocks[Int(previous)].owner == block.owner {
      throw .invariant("free blocks \(previous) and \(index) are not merged")
    }
    let firstPage = (offset + Self.unitsPerPage - 1) / Self.unitsPerPage
    let lastPage = (offset + block.length) / Self.unitsPerPage
    if block.owner == .nobody {
      guard offset % Self.unitsPerPage == 0, block.length % Self.unitsPerPage == 0 else {
        throw .invariant("the free run at \(offset) is not of whole pages")
      }
    } else if lastPage > firstPage {
      throw .invariant("free block \(index) keeps whole pages")
    }
  }
}
