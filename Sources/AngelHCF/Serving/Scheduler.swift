/// Decides what runs next: a pure function from the state of sequences and blocks to a plan.
///
/// Every running sequence that has one token pending is decoded in every step (of the rotary class whose turn it is);
/// what rows are left go to prompts, in chunks, by turn (chunked prefill, arXiv:2308.16369). A sequence is admitted
/// when blocks for all its tokens are there, so that only decoding can run short of blocks; then the sequence whose
/// turn comes last gives its own back and is computed again later (vLLM's recomputation, arXiv:2309.06180 §4.5). The
/// first in turn is never preempted and nobody overtakes the first in the queue, so every sequence ends.
enum Scheduler {
  static func plan(_ state: SchedulerState, _ limits: SchedulerLimits) -> SchedulerPlan {
    precondition(limits.rows >= limits.sequences && limits.sequences >= 1, "a step of \(limits.rows) rows")
    var draft = Draft(state, limits)
    draft.makeRoom()
    if draft.plan.preempted.isEmpty { draft.admit() }
    draft.run()
    return draft.plan
  }

  /// Whether a plan may have to preempt, which takes each running entry's `unsharedBlocks`.
  static func mayPreempt(_ state: SchedulerState, _ limits: SchedulerLimits) -> Bool {
    let missing = state.running.reduce(0) { $0 + limits.missingBlocks(of: $1) }
    let best = state.waiting.map(\.priority).min() ?? .max
    return missing > state.availableBlocks || state.running.contains { $0.priority > best }
  }
}

/// A plan in the making.
private struct Draft {
  private(set) var plan = SchedulerPlan()
  private let limits: SchedulerLimits
  /// By turn, as is `waiting`.
  private var running: [SchedulerEntry]
  private let waiting: [SchedulerEntry]
  private var available: Int
  /// Of the sequences that may run in this step.
  private let rotaryClass: Int

  init(_ state: SchedulerState, _ limits: SchedulerLimits) {
    self.limits = limits
    running = state.running.sorted { $0.turn < $1.turn }
    waiting = state.waiting.sorted { $0.turn < $1.turn }
    available = state.availableBlocks
    // Classes take turns.
    let first = running.min { ($0.lastStep, $0.turn) < ($1.lastStep, $1.turn) } ?? waiting.first
    rotaryClass = first?.rotaryClass ?? 0
  }

  /// Rows an entry takes of a step that has enough of them.
  private func wantedRows(_ entry: SchedulerEntry) -> Int {
    entry.rotaryClass == rotaryClass ? min(entry.pending, entry.runLimit) : 0
  }

  /// Finds a block for every decoding sequence that needs one, by turn.
  mutating func makeRoom() {
    var index = 0
    while index < running.count {
      let entry = running[index]
      let needed = wantedRows(entry) > 0 ? limits.missingBlocks(of: entry) : 0
      while needed > available, index < running.count { preemptLast() }
      if index < running.count { available -= needed }
      index += 1
    }
  }

  private mutating func preemptLast() {
    guard let last = running.popLast() else { return }
    available += last.unsharedBlocks
    plan.preempted.append(last.id)
  }

  /// Lets waiting sequences in, by turn, while there are rows, blocks and places for them.
  mutating func admit() {
    var rows = running.reduce(0) { $0 + wantedRows($1) }
    for entry in waiting {
      guard rows < limits.rows, makePlace(for: entry, &rows) else { return }
      available -= cost(entry)
      plan.admitted.append(entry.id)
      running.insert(entry, at: running.firstIndex { entry.turn < $0.turn } ?? running.count)
      rows += wantedRows(entry)
    }
  }

  /// Available blocks that admitting an entry takes.
  private func cost(_ entry: SchedulerEntry) -> Int {
    limits.blocks(of: entry) - entry.blocks + entry.unsharedBlocks
  }

  /// Whether an entry fits, if need be in the place of running ones of worse priority.
  private mutating func makePlace(for entry: SchedulerEntry, _ rows: inout Int) -> Bool {
    // 16 tokens for each of the others, so that they go on for a while before one of them is preempted again.
    func fits(_ running: Int, _ available: Int) -> Bool {
      running < limits.sequences && cost(entry) + running * limits.windows.spanBlocks <= available
    }
    var (kept, left) = (running, available)
    while !fits(kept.count, left) {
      guard let last = kept.last, last.priority > entry.priority, last.turn > entry.turn else { return false }
      kept.removeLast()
      left += last.unsharedBlocks
    }
    while running.count > kept.count {
      if let last = running.last { rows -= wantedRows(last) }
      preemptLast()
    }
    return true
  }

  /// Gives out the rows: first one to everybody who decodes, then the rest by turn.
  mutating func run() {
    var left = limits.rows
    func take(_ entry: SchedulerEntry) {
      let count = min(wantedRows(entry), left)
      guard count > 0 else { return }
      plan.runs.append(SchedulerPlan.Run(id: entry.id, count: count))
      left -= count
    }
    for entry in running where entry.pending == 1 { take(entry) }
    for entry in running where entry.pending != 1 { take(entry) }
  }
}

extension SchedulerLimits {
  /// Blocks that an entry has to have set aside for it to run.
  fileprivate func blocks(of entry: SchedulerEntry) -> Int { blocks(entry.tokens, pending: entry.pending) }
  /// Those of them that a running entry lacks.
  fileprivate func missingBlocks(of entry: SchedulerEntry) -> Int { max(0, blocks(of: entry) - entry.blocks) }
}
