import AngelCore
import AngelMemory
import Testing

@Suite("Page pool")
struct PagePoolTests {
  @Test("regions are aligned, counted from the base and counted by kind")
  func values() throws {
    let pool = try PagePool(budget: 8 * Page.byteCount)
    let small = try pool.allocate(byteCount: 100, kind: .weights)
    let large = try pool.allocate(byteCount: Page.byteCount + 1, kind: .activations)
    #expect(small.address == pool.baseAddress + small.offset)
    #expect(small.offset % 64 == 0 && large.offset % 64 == 0)
    #expect(UInt(bitPattern: pool.baseAddress) % UInt(Page.hugePageByteCount) == 0)
    #expect(large.pages.upperBound.rawValue - large.pages.lowerBound.rawValue == 2)
    let usage = pool.usage
    #expect(usage[.weights].byteCount == 100 && usage[.weights].pageCount == 1)
    #expect(usage[.activations].byteCount == Page.byteCount + 1 && usage[.activations].pageCount == 2)
    #expect(usage.touchedPageCount == 3 && usage.freePageCount == 0)
    pool.release(large)
    #expect(pool.usage[.activations].peakByteCount == Page.byteCount + 1)
    #expect(pool.usage[.activations].pageCount == 0 && pool.usage.freePageCount == 2)
    try pool.checkInvariants()
  }

  @Test("usage as JSON lists the kinds that were used")
  func json() throws {
    let pool = try PagePool(budget: 8 * Page.byteCount)
    pool.release(try pool.allocate(byteCount: Page.byteCount, kind: .keyValueCache))
    let json = pool.usage.json
    #expect(json["resident_bytes"] == 4_194_304 && json["free_bytes"] == 4_194_304)
    #expect(
      json["kinds"] == [
        [
          "kind": "kv_cache", "bytes": 0, "peak_bytes": 4_194_304, "pages": 0, "peak_pages": 1,
          "fragmentation": .number(0),
        ]
      ])
  }

  @Test("a fresh region is zero, writable to its last byte and an empty one has an address of its own")
  func contents() throws {
    let pool = try PagePool(budget: 4 * Page.byteCount)
    let region = try pool.allocate(byteCount: 3 * Page.byteCount, kind: .weights)
    #expect(region.bytes.allSatisfy { $0 == 0 })
    region.bytes[region.byteCount - 1] = 7
    let (first, second) = (
      try pool.allocate(byteCount: 0, kind: .weights), try pool.allocate(byteCount: 0, kind: .weights)
    )
    #expect(first.address != second.address)
    try pool.checkInvariants()
  }

  @Test("small regions of one kind share a page, kinds never do")
  func sharing() throws {
    let pool = try PagePool(budget: 8 * Page.byteCount)
    for _ in 0..<100 { _ = try pool.allocate(byteCount: 1000, kind: .weights) }
    #expect(pool.usage[.weights].pageCount == 1)
    let other = try pool.allocate(byteCount: 1000, kind: .workspace)
    #expect(other.pages.lowerBound == PageIndex(rawValue: 1))
    try pool.checkInvariants()
  }

  @Test("four regions of three quarters of a page fill three pages")
  func packing() throws {
    let pool = try PagePool(budget: 8 * Page.byteCount)
    for _ in 0..<4 { _ = try pool.allocate(byteCount: Page.byteCount / 4 * 3, kind: .activations) }
    #expect(pool.usage[.activations].pageCount == 3)
    #expect(pool.usage[.activations].fragmentation == 0)
  }

  @Test("a large region takes the tightest run of free pages")
  func bestFit() throws {
    let pool = try PagePool(budget: 16 * Page.byteCount)
    let regions = try [5, 1, 2, 1, 3, 1].map { try pool.allocate(byteCount: $0 * Page.byteCount, kind: .weights) }
    for index in [0, 2, 4] { pool.release(regions[index]) }
    let fitted = try pool.allocate(byteCount: 2 * Page.byteCount, kind: .activations)
    #expect(fitted.offset == regions[2].offset)
    #expect(pool.usage.freePageCount == 8 && pool.usage.touchedPageCount == 13)
    try pool.checkInvariants()
  }

  @Test("memory of free pages between used ones is moved to a run that is longer than they are")
  func moving() throws {
    for arena in [try HostArena(budget: 10 * Page.byteCount), .imagined] {
      let pool = PagePool(arena: arena)
      let regions = try (0..<8).map { index in
        let region = try pool.allocate(byteCount: Page.byteCount, kind: .weights)
        if arena.budget < HostArena.largestBudget { region.bytes.storeBytes(of: UInt8(index), as: UInt8.self) }
        return region
      }
      for index in [0, 2, 4, 6] { pool.release(regions[index]) }
      let long = try pool.allocate(byteCount: 5 * Page.byteCount, kind: .activations)
      // Four were free, one is new.
      #expect(pool.usage.touchedPageCount == 9 && pool.usage.freePageCount == 0)
      try pool.checkInvariants()
      guard arena.budget < HostArena.largestBudget else { continue }
      long.bytes.initializeMemory(as: UInt8.self, repeating: 0xFF)
      for index in [1, 3, 5, 7] { #expect(regions[index].bytes.load(as: UInt8.self) == UInt8(index)) }
      // Pages whose memory went away get some again.
      _ = try pool.allocate(byteCount: Page.byteCount, kind: .weights).bytes.initializeMemory(
        as: UInt8.self, repeating: 1)
      #expect(pool.usage.touchedPageCount == 10)
      #expect(throws: MemoryError.self) { try pool.allocate(byteCount: 1, kind: .gradients) }
      pool.release(long)
      for kind in [MemoryKind.gradients, .workspace] {
        try pool.allocate(byteCount: 2 * Page.byteCount, kind: kind).bytes.initializeMemory(
          as: UInt8.self, repeating: 2)
      }
      #expect(pool.usage.touchedPageCount == 10 && pool.usage.freePageCount == 1)
      try pool.checkInvariants()
    }
  }

  @Test("a request beyond the budget names what is wanted, free and allowed, and the remedy")
  func exhaustion() throws {
    let pool = try PagePool(budget: 4 * Page.byteCount)
    let kept = try pool.allocate(byteCount: 3 * Page.byteCount, kind: .weights)
    #expect(
      throws: MemoryError.exhausted(
        requested: 2 * Page.byteCount, kind: .activations, free: Page.byteCount, largestFree: Page.byteCount,
        budget: 4 * Page.byteCount)
    ) { try pool.allocate(byteCount: 2 * Page.byteCount, kind: .activations) }
    #expect(throws: MemoryError.self) { try pool.allocate(byteCount: Int.max, kind: .activations) }
    pool.release(kept)
    _ = try pool.allocate(byteCount: 4 * Page.byteCount, kind: .activations)
    try pool.checkInvariants()
    let text = MemoryError.exhausted(requested: 3, kind: .activations, free: 2, largestFree: 2, budget: 4).description
    #expect(text.hasPrefix("3 B of activations wanted, 2 B of 4 B free: lower the batch"))
  }

  @Test("where free addresses are in pieces, the error names the longest and the budget is not used up")
  func pieces() throws {
    let pool = try PagePool(budget: 8 * Page.byteCount)
    func pages(_ count: Int, _ kind: MemoryKind, more: Int = 0) throws -> MemoryRegion {
      try pool.allocate(byteCount: count * Page.byteCount + more, kind: kind)
    }
    // Of sixteen pages of addresses the fourth, eighth and twelfth stay in use.
    let (first, second) = (try pages(3, .weights), try pages(1, .weights))
    let (third, fourth) = (try pages(3, .weights), try pages(1, .weights))
    pool.release(first)
    pool.release(third)
    let fifth = try pages(3, .activations, more: 64)
    let sixth = try pages(0, .activations, more: 64)
    pool.release(fifth)
    #expect([second, fourth, sixth].map(\.pages.lowerBound.rawValue) == [3, 7, 11])
    #expect(
      throws: MemoryError.exhausted(
        requested: 5 * Page.byteCount, kind: .gradients, free: 5 * Page.byteCount, largestFree: 4 * Page.byteCount,
        budget: 8 * Page.byteCount)
    ) { try pages(5, .gradients) }
    let longest = try pages(4, .gradients)
    #expect(longest.pages.lowerBound.rawValue == 12)
    _ = try pages(1, .gradients)
    #expect(pool.usage.touchedPageCount == 8 && pool.usage.freePageCount == 0)
    try pool.checkInvariants()
  }

  @Test("a reserve touches pages whose memory was moved away, too")
  func reservingAgain() throws {
    let pool = try PagePool(budget: 4 * Page.byteCount)
    // Of eight pages of addresses two in the middle of pairs stay, until none is left at the end.
    let regions = try (0..<4).map { _ in try pool.allocate(byteCount: Page.byteCount, kind: .weights) }
    for index in [0, 2, 3] { pool.release(regions[index]) }
    let long = try pool.allocate(byteCount: 3 * Page.byteCount, kind: .weights)
    pool.release(regions[1])
    pool.release(long)
    try pool.reserve(byteCount: 4 * Page.byteCount)
    #expect(pool.usage.touchedPageCount == 4)
    try pool.checkInvariants()
  }

  @Test("impossible budgets are refused", arguments: [-1, 0, 4096, Int.max])
  func budgets(budget: Int) { #expect(throws: MemoryError.invalidBudget(budget)) { try PagePool(budget: budget) } }

  @Test("a repeated step touches no new page after the first")
  func steadyState() throws {
    let pool = try PagePool(budget: 64 * Page.byteCount)
    var generator = SequenceGenerator(seed: 3)
    let sizes = (0..<200).map { _ in generator.next(below: 20) == 0 ? 5 << 20 : generator.next(below: 40_000) }
    func step() throws -> [Int] {
      var live: [MemoryRegion] = []
      var offsets: [Int] = []
      for (position, size) in sizes.enumerated() {
        live.append(try pool.allocate(byteCount: size, kind: .activations))
        offsets.append(live[live.count - 1].offset)
        if position % 3 == 2 { pool.release(live.remove(at: position % live.count)) }
      }
      live.forEach(pool.release)
      return offsets
    }
    let first = try step()
    let touched = pool.usage.touchedPageCount
    for _ in 0..<20 { _ = try step() }
    #expect(pool.usage.touchedPageCount == touched)
    #expect(pool.usage[.activations].byteCount == 0 && pool.usage.freePageCount == touched)
    #expect(try step().count == first.count)
    try pool.checkInvariants()
  }

  @Test("reserved pages serve later requests")
  func reserve() throws {
    let pool = try PagePool(budget: 8 * Page.byteCount)
    try pool.reserve(byteCount: 5 * Page.byteCount - 1)
    #expect(pool.usage.touchedPageCount == 5)
    _ = try pool.allocate(byteCount: 5 * Page.byteCount, kind: .weights)
    #expect(pool.usage.touchedPageCount == 5)
    #expect(throws: MemoryError.self) { try pool.reserve(byteCount: 4 * Page.byteCount) }
  }
}
