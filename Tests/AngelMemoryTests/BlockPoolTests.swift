import AngelMemory
import Testing

@Suite("Block pool")
struct BlockPoolTests {
  static let blockByteCount = 368_640

  @Test("blocks are distinct, aligned and addressed from the base")
  func addresses() throws {
    let pages = try PagePool(budget: 16 * Page.byteCount)
    let blocks = BlockPool(pool: pages, blockByteCount: Self.blockByteCount, limit: 40)
    let indices = try blocks.allocate(count: 40)
    #expect(Set(indices).count == 40 && blocks.freeCount == 0)
    for index in indices {
      #expect(blocks.byteOffset(of: index) % 64 == 0)
      #expect(blocks.bytes(of: index).baseAddress == blocks.baseAddress + blocks.byteOffset(of: index))
    }
    #expect(pages.usage[.keyValueCache].pageCount == 4)
    try blocks.checkInvariants()
    #expect(
      throws: MemoryError.blocksExhausted(limit: 40, blockByteCount: Self.blockByteCount), performing: blocks.allocate)
  }

  @Test("memory is taken when blocks are, and goes back when the pool ends")
  func growth() throws {
    let pages = try PagePool(budget: 16 * Page.byteCount)
    var blocks: BlockPool? = BlockPool(pool: pages, blockByteCount: Self.blockByteCount, limit: 100)
    #expect(pages.usage.touchedPageCount == 0)
    _ = try blocks?.allocate()
    #expect(pages.usage[.keyValueCache].pageCount == 3 && blocks?.carvedCount == 34)
    blocks = nil
    #expect(pages.usage[.keyValueCache].pageCount == 0)
    try pages.checkInvariants()
  }

  @Test("a shared block is free only after its last release")
  func references() throws {
    let pages = try PagePool(budget: 4 * Page.byteCount)
    let blocks = BlockPool(pool: pages, blockByteCount: 1000, limit: 4)
    let index = try blocks.allocate()
    blocks.retain(index)
    #expect(blocks.referenceCount(of: index) == 2)
    #expect(!blocks.release(index))
    #expect(blocks.usedCount == 1)
    #expect(blocks.release(index))
    #expect(blocks.usedCount == 0 && blocks.referenceCount(of: index) == 0)
    #expect(try blocks.allocate() == index, "the warm block is reused first")
  }

  @Test("when pages run short the last blocks are carved singly, then the page pool's error is passed on")
  func exhaustion() throws {
    let pages = try PagePool(budget: 4 * Page.byteCount)
    let blocks = BlockPool(pool: pages, blockByteCount: Self.blockByteCount, limit: 1000)
    var count = 0
    while (try? blocks.allocate()) != nil { count += 1 }
    #expect(count == 4 * Page.byteCount / Self.blockByteCount)
    #expect(throws: MemoryError.self) { try blocks.allocate() }
    try blocks.checkInvariants()
    try pages.checkInvariants()
  }

  @Test("random use keeps counts and invariants against a model", arguments: 0..<3)
  func againstModel(seed: Int) throws {
    let pages = try PagePool(budget: 8 * Page.byteCount)
    let blocks = BlockPool(pool: pages, blockByteCount: 100_000, limit: 60)
    var generator = SequenceGenerator(seed: UInt64(seed))
    var model: [BlockIndex: Int] = [:]
    for _ in 0..<2000 * RandomisedSteps.factor {
      let known = model.keys.sorted()
      switch generator.next(below: 5) {
      case 0, 1:
        if let index = try? blocks.allocate() {
          #expect(model[index] == nil)
          model[index] = 1
        } else {
          #expect(model.count == 60)
        }
      case 2 where !known.isEmpty:
        let index = known[generator.next(below: known.count)]
        blocks.retain(index)
        model[index, default: 0] += 1
      case 3 where !known.isEmpty, 4 where !known.isEmpty:
        let index = known[generator.next(below: known.count)]
        let left = (model[index] ?? 0) - 1
        #expect(blocks.release(index) == (left == 0))
        model[index] = left == 0 ? nil : left
      default: break
      }
      #expect(blocks.usedCount == model.count && blocks.freeCount == 60 - model.count)
      for (index, count) in model { #expect(blocks.referenceCount(of: index) == count) }
      try blocks.checkInvariants()
    }
  }
}
