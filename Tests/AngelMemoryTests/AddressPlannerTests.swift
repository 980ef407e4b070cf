import Testing

@testable import AngelMemory

@Suite("Address planner")
struct AddressPlannerTests {
  private func isSound(_ plan: AddressPlan, for lifetimes: [Lifetime]) -> Bool {
    for (i, a) in lifetimes.enumerated() {
      guard plan.offsets[i] >= 0, plan.offsets[i] + a.byteCount <= plan.peakByteCount else { return false }
      for (j, b) in lifetimes.enumerated().dropFirst(i + 1) where a.firstUse <= b.lastUse && b.firstUse <= a.lastUse {
        let isApart =
          plan.offsets[i] + a.byteCount <= plan.offsets[j] || plan.offsets[j] + b.byteCount <= plan.offsets[i]
        guard isApart || a.byteCount == 0 || b.byteCount == 0 else { return false }
      }
    }
    return true
  }

  private func randomLifetimes(_ count: Int, steps: Int, largest: Int, seed: Int) -> [Lifetime] {
    var generator = SequenceGenerator(seed: UInt64(seed))
    return (0..<count).map { _ in
      let first = generator.next(below: steps)
      return Lifetime(
        byteCount: generator.next(below: largest + 1), firstUse: first,
        lastUse: first + generator.next(below: steps - first))
    }
  }

  /// The smallest peak of all plans: some order, placed lowest first, attains it (unit alignment).
  private func smallestPeak(_ lifetimes: [Lifetime]) -> Int {
    var best = Int.max
    func extend(_ placed: [(offset: Int, index: Int)], _ rest: Set<Int>, _ peak: Int) {
      if peak >= best { return }
      if rest.isEmpty { return best = peak }
      for index in rest {
        let lifetime = lifetimes[index]
        let rivals = placed.filter {
          lifetimes[$0.index].firstUse <= lifetime.lastUse && lifetime.firstUse <= lifetimes[$0.index].lastUse
        }.sorted { $0.offset < $1.offset }
        var offset = 0
        for rival in rivals where rival.offset < offset + lifetime.byteCount {
          offset = max(offset, rival.offset + lifetimes[rival.index].byteCount)
        }
        extend(placed + [(offset, index)], rest.subtracting([index]), max(peak, offset + lifetime.byteCount))
      }
    }
    extend([], Set(lifetimes.indices), 0)
    return best
  }

  @Test("tensors that do not live together share addresses")
  func reuse() {
    let lifetimes = [
      Lifetime(byteCount: 128, firstUse: 0, lastUse: 1), Lifetime(byteCount: 128, firstUse: 2, lastUse: 3),
      Lifetime(byteCount: 64, firstUse: 1, lastUse: 2),
    ]
    #expect(
      AddressPlanner().plan(lifetimes)
        == AddressPlan(offsets: [0, 0, 128], peakByteCount: 192, leastByteCount: 192))
    #expect(AddressPlanner().plan([]) == AddressPlan(offsets: [], peakByteCount: 0, leastByteCount: 0))
  }

  @Test("offsets are aligned and empty tensors take no room")
  func alignment() {
    let lifetimes = [1, 0, 65, 64].map { Lifetime(byteCount: $0, firstUse: 0, lastUse: 0) }
    let plan = AddressPlanner(alignment: 64).plan(lifetimes)
    #expect(plan.offsets.allSatisfy { $0 % 64 == 0 } && plan.peakByteCount == 256)
  }

  @Test("small plans are sound and within a quarter of the best there is", arguments: 0..<30)
  func againstBruteForce(seed: Int) {
    let lifetimes = randomLifetimes(7, steps: 6, largest: 20, seed: seed)
    let plan = AddressPlanner(alignment: 1).plan(lifetimes)
    let best = smallestPeak(lifetimes)
    #expect(isSound(plan, for: lifetimes))
    #expect(plan.leastByteCount <= best && best <= plan.peakByteCount)
    #expect(Double(plan.peakByteCount) <= 1.25 * Double(best))
  }

  @Test("large plans are sound and near the bytes alive", arguments: 0..<4)
  func large(seed: Int) {
    let lifetimes = randomLifetimes(300, steps: 100, largest: 100_000, seed: seed)
    let plan = AddressPlanner().plan(lifetimes)
    #expect(isSound(plan, for: lifetimes))
    #expect(plan.peakByteCount >= plan.leastByteCount)
    #expect(Double(plan.peakByteCount) <= 1.15 * Double(plan.leastByteCount))
  }

  @Test("a forward and backward pass is planned without waste")
  func trainingStep() {
    let depth = 24
    let lifetimes = (0..<depth).flatMap { layer in
      let backward = 2 * depth - 1 - layer
      return [
        Lifetime(byteCount: 3 << 20, firstUse: layer, lastUse: backward),
        Lifetime(byteCount: 12 << 20, firstUse: layer, lastUse: layer),
        Lifetime(byteCount: 12 << 20, firstUse: backward, lastUse: backward),
      ]
    }
    let plan = AddressPlanner().plan(lifetimes)
    #expect(isSound(plan, for: lifetimes))
    #expect(plan.peakByteCount == plan.leastByteCount)
  }
}
