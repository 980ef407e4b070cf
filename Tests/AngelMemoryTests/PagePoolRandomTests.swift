import AngelMemory
import Synchronization
import Testing

@Suite("Page pool under random use")
struct PagePoolRandomTests {
  @Test("regions never overlap, keep their bytes, and the bookkeeping holds after every step", arguments: 0..<4)
  func againstModel(seed: Int) throws {
    let pool = try PagePool(budget: 24 * Page.byteCount)
    var generator = SequenceGenerator(seed: UInt64(seed))
    var live: [(region: MemoryRegion, mark: UInt8)] = []
    for step in 0..<600 * RandomisedSteps.factor {
      if live.isEmpty || generator.next(below: 100) < 55 {
        let size = Self.size(using: &generator)
        let kind = MemoryKind.allCases[generator.next(below: MemoryKind.allCases.count)]
        guard let region = try? pool.allocate(byteCount: size, kind: kind) else { continue }
        let mark = UInt8(truncatingIfNeeded: step)
        Self.markEnds(of: region, mark)
        live.append((region, mark))
      } else {
        let (region, mark) = live.swapRemove(at: generator.next(below: live.count))
        #expect(Self.hasEnds(region, mark))
        pool.release(region)
      }
      try pool.checkInvariants()
      for kind in MemoryKind.allCases {
        let expected = live.filter { $0.region.kind == kind }.reduce(0) { $0 + $1.region.byteCount }
        #expect(pool.usage[kind].byteCount == expected)
      }
      let sorted = live.map(\.region).sorted { $0.offset < $1.offset }
      for (a, b) in zip(sorted, sorted.dropFirst()) { #expect(a.offset + max(a.byteCount, 1) <= b.offset) }
    }
    for (region, mark) in live {
      #expect(Self.hasEnds(region, mark))
      pool.release(region)
    }
    try pool.checkInvariants()
    #expect(pool.usage.freePageCount == pool.usage.touchedPageCount)
  }

  @Test("threads that allocate and release together keep their bytes apart")
  func concurrency() async throws {
    let pool = try PagePool(budget: 64 * Page.byteCount)
    let damaged = await withTaskGroup(of: Int.self) { group in
      for worker in 0..<4 { group.addTask { Self.churn(pool, seed: worker) } }
      return await group.reduce(0, +)
    }
    #expect(damaged == 0)
    try pool.checkInvariants()
    #expect(pool.usage.byteCount == 0)
  }

  private static func churn(_ pool: PagePool, seed: Int) -> Int {
    var generator = SequenceGenerator(seed: UInt64(seed))
    var live: [MemoryRegion] = []
    var damaged = 0
    for _ in 0..<3000 * RandomisedSteps.factor {
      if live.count < 8 || generator.next(below: 2) == 0 && live.count < 32 {
        guard let region = try? pool.allocate(byteCount: generator.next(below: 300_000), kind: .activations) else {
          continue
        }
        markEnds(of: region, UInt8(seed))
        live.append(region)
      } else {
        let region = live.swapRemove(at: generator.next(below: live.count))
        if !hasEnds(region, UInt8(seed)) { damaged += 1 }
        pool.release(region)
      }
    }
    for region in live { pool.release(region) }
    return damaged
  }

  private static func size(using generator: inout SequenceGenerator) -> Int {
    switch generator.next(below: 4) {
    case 0: generator.next(below: 200)
    case 1: generator.next(below: 100_000)
    case 2: generator.next(below: Page.byteCount)
    default: generator.next(below: 4 * Page.byteCount)
    }
  }

  private static func markEnds(of region: MemoryRegion, _ mark: UInt8) {
    guard region.byteCount > 0 else { return }
    region.bytes[0] = mark
    region.bytes[region.byteCount - 1] = mark
  }

  private static func hasEnds(_ region: MemoryRegion, _ mark: UInt8) -> Bool {
    region.byteCount == 0 || (region.bytes[0] == mark && region.bytes[region.byteCount - 1] == mark)
  }
}

extension Array {
  fileprivate mutating func swapRemove(at index: Int) -> Element {
    swapAt(index, count - 1)
    return removeLast()
  }
}
