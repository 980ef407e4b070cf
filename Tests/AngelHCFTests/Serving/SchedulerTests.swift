import AngelTesting
import Testing

@testable import AngelHCF

@Suite("The scheduler's plan")
struct SchedulerTests {
  private let limits = SchedulerLimits(rows: 64, sequences: 8)

  private func entry(
    _ request: UInt64, tokens: Int, cached: Int = 0, blocks: Int = 0,
    _ change: (inout SchedulerEntry) -> Void = { _ in }
  ) -> SchedulerEntry {
    var entry = SchedulerEntry(
      id: SequenceID(request: request), tokens: tokens, cached: cached, blocks: blocks, unsharedBlocks: blocks)
    change(&entry)
    return entry
  }

  private func ids(_ numbers: UInt64...) -> [SequenceID] { numbers.map { SequenceID(request: $0) } }

  private func run(_ request: UInt64, _ count: Int) -> SchedulerPlan.Run {
    SchedulerPlan.Run(id: SequenceID(request: request), count: count)
  }

  @Test("decodes come first, then a prompt's chunk, within the rows of a step")
  func chunks() {
    var state = SchedulerState(availableBlocks: 100)
    state.running = [
      entry(1, tokens: 200, cached: 50, blocks: 13), entry(2, tokens: 20, cached: 19, blocks: 2),
      entry(3, tokens: 33, cached: 32, blocks: 2),
    ]
    state.waiting = [entry(4, tokens: 10)]
    let plan = Scheduler.plan(state, limits)
    #expect(plan == SchedulerPlan(preempted: [], admitted: [], runs: [run(2, 1), run(3, 1), run(1, 62)]))
  }

  @Test("requests are admitted in turn: priority, then arrival; the first that does not fit holds back the rest")
  func turns() {
    var state = SchedulerState(availableBlocks: 8)
    state.waiting = [
      entry(1, tokens: 16) { $0.priority = 1 }, entry(2, tokens: 90), entry(3, tokens: 16), entry(4, tokens: 16),
    ]
    #expect(Scheduler.plan(state, limits).admitted == ids(2))
    state.availableBlocks = 20
    state.waiting[1].tokens = 40
    let plan = Scheduler.plan(state, limits)
    #expect(plan.admitted == ids(2, 3, 4), "the step's 64 rows are given out then")
    #expect(plan.runs == [run(2, 40), run(3, 16), run(4, 8)])
    state.availableBlocks = 2
    #expect(Scheduler.plan(state, limits) == SchedulerPlan())
  }

  @Test("after a long wait a request goes before later ones of better priority")
  func aging() {
    var state = SchedulerState(availableBlocks: 100)
    state.waiting = [entry(1, tokens: 64) { $0.priority = 2 }, entry(2, tokens: 64)]
    #expect(Scheduler.plan(state, limits).admitted == ids(2))
    state.waiting[0].waitedSteps = 2 * SchedulerEntry.stepsPerLevel
    #expect(Scheduler.plan(state, limits).admitted == ids(1))
  }

  @Test("without blocks the last in turn gives its own back, itself where it is the one that needs one")
  func preemption() {
    var state = SchedulerState(availableBlocks: 0)
    state.running = [
      entry(3, tokens: 20, cached: 19, blocks: 2), entry(1, tokens: 33, cached: 32, blocks: 2),
      entry(2, tokens: 50, cached: 49, blocks: 4),
    ]
    state.waiting = [entry(4, tokens: 5)]
    var plan = Scheduler.plan(state, limits)
    #expect(plan == SchedulerPlan(preempted: ids(3), admitted: [], runs: [run(1, 1), run(2, 1)]))
    state.running = [entry(1, tokens: 20, cached: 19, blocks: 2), entry(2, tokens: 33, cached: 32, blocks: 2)]
    plan = Scheduler.plan(state, limits)
    #expect(plan == SchedulerPlan(preempted: ids(2), admitted: [], runs: [run(1, 1)]))
  }

  @Test("better priority takes the place of worse, equal priority does not")
  func displacement() {
    var state = SchedulerState(availableBlocks: 1)
    state.running = (1...8).map { number in
      entry(UInt64(number), tokens: 20, cached: 19, blocks: 2) { $0.priority = number > 4 ? 1 : 0 }
    }
    state.waiting = [entry(9, tokens: 30) { $0.priority = 1 }]
    #expect(Scheduler.plan(state, limits).admitted == [])
    state.waiting[0].priority = 0
    let plan = Scheduler.plan(state, limits)
    // Its two blocks and one for each of those that go on.
    #expect(plan.preempted == ids(8, 7, 6) && plan.admitted == ids(9))
    #expect(plan.runs.count == 6)
  }

  @Test("newcomers leave 16 tokens in all tables to each that runs")
  func room() {
    var limits = limits
    limits.windows = CacheWindows(local: 40, localCount: 2)
    var state = SchedulerState(availableBlocks: 11)
    state.running = (1...2).map { entry(UInt64($0), tokens: 20, cached: 19, blocks: 6) }
    state.waiting = [entry(3, tokens: 30)]
    #expect(Scheduler.plan(state, limits).admitted == [])
    state.availableBlocks = 12
    #expect(Scheduler.plan(state, limits).admitted == ids(3))
  }

  @Test("what giving up would yield is asked where blocks are missing, or better priority waits")
  func yields() {
    var limits = limits
    limits.windows = CacheWindows(local: 40, localCount: 2)
    var state = SchedulerState(availableBlocks: 6)
    state.running = (1...3).map { entry(UInt64($0), tokens: 33, cached: 32, blocks: $0 < 3 ? 6 : 9) }
    state.waiting = [entry(4, tokens: 30)]
    #expect(!Scheduler.mayPreempt(state, limits), "two lack three blocks each")
    state.availableBlocks = 5
    #expect(Scheduler.mayPreempt(state, limits))
    state.availableBlocks = 6
    state.waiting[0].priority = -1
    #expect(Scheduler.mayPreempt(state, limits))
  }

  @Test("sequences with different rotary frequencies take turns")
  func classes() {
    var state = SchedulerState(availableBlocks: 100)
    state.running = [
      entry(1, tokens: 20, cached: 19, blocks: 2) { $0.lastStep = 7 },
      entry(2, tokens: 90, cached: 89, blocks: 6) {
        $0.rotaryClass = 3
        $0.lastStep = 6
      },
      entry(3, tokens: 10, cached: 9, blocks: 1) { $0.lastStep = 7 },
    ]
    #expect(Scheduler.plan(state, limits).runs == [run(2, 1)])
    state.running[1].lastStep = 8
    #expect(Scheduler.plan(state, limits).runs == [run(1, 1), run(3, 1)])
  }

  @Test("random states: budgets hold, turns are respected, and something always runs")
  func random() {
    var random = SeededRandom(seed: 8)
    for _ in 0..<5000 {
      let limits = SchedulerLimits(
        rows: .random(in: 16...64, using: &random), sequences: .random(in: 1...12, using: &random))
      let blockLimit = Int.random(in: 8...40, using: &random)
      var state = SchedulerState()
      var used = 0
      for number in 0..<Int.random(in: 0...limits.sequences, using: &random) {
        let cached = Int.random(in: 0..<100, using: &random)
        let tokens = Bool.random(using: &random) ? cached + 1 : cached + .random(in: 1...28, using: &random)
        // A prompt has all its blocks, a decoding sequence those of its cached tokens at least.
        let blocks = tokens == cached + 1 ? max(1, limits.blocks(cached)) : limits.blocks(tokens)
        guard used + blocks <= blockLimit else { break }
        used += blocks
        state.running.append(
          entry(UInt64(number), tokens: tokens, cached: cached, blocks: blocks) {
            $0.priority = .random(in: 0...2, using: &random)
            $0.waitedSteps = .random(in: 0...1000, using: &random)
          })
      }
      state.availableBlocks = blockLimit - used
      for number in 0..<Int.random(in: 0...12, using: &random) {
        state.waiting.append(
          entry(UInt64(100 + number), tokens: .random(in: 1...128, using: &random)) {
            $0.priority = .random(in: 0...2, using: &random)
            $0.waitedSteps = .random(in: 0...1000, using: &random)
          })
      }
      check(Scheduler.plan(state, limits), of: state, limits, blockLimit)
    }
  }

  private func check(_ plan: SchedulerPlan, of state: SchedulerState, _ limits: SchedulerLimits, _ blockLimit: Int) {
    #expect(plan == Scheduler.plan(state, limits))
    let all = Dictionary(uniqueKeysWithValues: (state.running + state.waiting).map { ($0.id, $0) })
    let kept = state.running.filter { !plan.preempted.contains($0.id) }
    let places = kept.map(\.id) + plan.admitted
    #expect(places.count <= limits.sequences)
    #expect(plan.runs.reduce(0) { $0 + $1.count } <= limits.rows)
    var blocks = 0
    for id in places {
      guard let entry = all[id] else { continue }
      let count = plan.runs.first { $0.id == id }?.count ?? 0
      #expect(count <= entry.pending)
      blocks += max(entry.blocks, limits.blocks(plan.admitted.contains(id) ? entry.tokens : entry.cached + count))
    }
    #expect(blocks <= blockLimit)
    for run in plan.runs { #expect(places.contains(run.id)) }
    for entry in kept where entry.pending == 1 { #expect(plan.runs.contains { $0.id == entry.id && $0.count == 1 }) }
    // Nobody overtakes: who is left out comes after all who are let in, who gives way after all who stay.
    let lastIn = plan.admitted.compactMap { all[$0]?.turn }.max()
    for entry in state.waiting where !plan.admitted.contains(entry.id) {
      if let lastIn { #expect(entry.turn > lastIn) }
    }
    if let firstOut = plan.preempted.compactMap({ all[$0]?.turn }).min() {
      for entry in kept { #expect(entry.turn < firstOut) }
    }
    if !all.isEmpty { #expect(!plan.runs.isEmpty || !plan.preempted.isEmpty) }
  }
}
