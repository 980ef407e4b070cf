import AngelMemory
import AngelTensor

extension ServingLoop {
  /// A sequence's part of a step.
  struct Part {
    let sequence: ServedSequence
    let count: Int
    /// The first of its rows.
    let row: Int

    /// Whether it is the last known token and guesses at what follows.
    var onlyDecodes: Bool { sequence.tokens.count - sequence.cachedCount == 1 && sequence.answer != nil }
  }

  /// The plan of the next step, and what of the waiting sequences' tokens is cached.
  func makePlan() -> (SchedulerPlan, [SequenceID: SharedBlocks.Prefix]) {
    var state = SchedulerState(availableBlocks: availableCount)
    state.running = running.map(entry)
    var prefixes: [SequenceID: SharedBlocks.Prefix] = [:]
    for sequence in candidates(beside: state.running) {
      let prefix = blocks.prefix(
        of: sequence.tokens, count: findableCount(of: sequence), below: sequence.request.root)
      prefixes[sequence.id] = prefix
      state.waiting.append(entry(sequence, prefix))
    }
    // What giving a sequence up would yield takes a walk over its blocks.
    if Scheduler.mayPreempt(state, settings.limits) {
      for (index, sequence) in running.enumerated() {
        state.running[index].unsharedBlocks =
          blocks.releasableCount(of: sequence.blocks, sharedCount: sequence.sharedCount) + sequence.outstandingCount
      }
    }
    return (Scheduler.plan(state, settings.limits), prefixes)
  }

  /// The waiting sequences that this step may have rows and places for, by turn.
  private func candidates(beside running: [SchedulerEntry]) -> ArraySlice<ServedSequence> {
    guard !waiting.isEmpty, running.reduce(0, { $0 + $1.pending }) < settings.limits.rows else { return [] }
    let worst = running.map(\.priority).max() ?? .min
    let free = settings.limits.sequences - running.count
    guard free > 0 || waiting.contains(where: { $0.request.priority < worst }) else { return [] }
    let turns = waiting.map { ($0, turn(of: $0)) }.sorted { $0.1 < $1.1 }
    return turns.prefix(settings.limits.sequences).map(\.0)[...]
  }

  func turn(of sequence: ServedSequence) -> SchedulerEntry.Turn {
    SchedulerEntry(
      id: sequence.id, priority: sequence.request.priority, waitedSteps: sequence.waitedSteps(at: step), tokens: 0
    ).turn
  }

  private func entry(_ sequence: ServedSequence) -> SchedulerEntry {
    let (runLimit, length) = runLimit(of: sequence, from: sequence.cachedCount)
    return SchedulerEntry(
      id: sequence.id, priority: sequence.request.priority, waitedSteps: sequence.waitedSteps(at: step),
      tokens: sequence.wantedCount, cached: sequence.cachedCount, blocks: sequence.grantedCount,
      runLimit: runLimit, rotaryClass: settings.rotaryScaling.lengthClass(length), lastStep: sequence.lastStep)
  }

  private func entry(_ sequence: ServedSequence, _ prefix: SharedBlocks.Prefix) -> SchedulerEntry {
    let cached = cachedCount(of: sequence, prefix)
    let (runLimit, length) = runLimit(of: sequence, from: cached)
    return SchedulerEntry(
      id: sequence.id, priority: sequence.request.priority, waitedSteps: sequence.waitedSteps(at: step),
      tokens: sequence.tokens.count, cached: cached,
      blocks: prefix.blocks.heldCount, unsharedBlocks: prefix.unusedCount, runLimit: runLimit,
      rotaryClass: settings.rotaryScaling.lengthClass(length), lastStep: sequence.lastStep)
  }

  /// How many tokens of a sequence a prefix spares. One that is wholly cached still runs its last token, for the logits
  /// after it; it stores what is there.
  func cachedCount(of sequence: ServedSequence, _ prefix: SharedBlocks.Prefix) -> Int {
    min(CacheGeometry.blockTokens * prefix.count, sequence.tokens.count - 1)
  }

  /// Blocks that are neither in use nor set aside.
  var availableCount: Int { blocks.availableCount - running.reduce(0) { $0 + $1.outstandingCount } }

  /// How many tokens from position `start` may run in one step, and the length whose rotary frequencies they have.
  ///
  /// A prompt's tokens have those of the whole prompt, an answer's those of the sequence up to them; when they are
  /// computed again it must be with the same ones.
  func runLimit(of sequence: ServedSequence, from start: Int) -> (tokens: Int, length: Int) {
    let (count, scaling) = (sequence.tokens.count, settings.rotaryScaling)
    guard count > scaling.uniformLength else { return (.max, count) }
    let length = max(sequence.promptCount, start + 1)
    let `class` = scaling.lengthClass(length)
    var end = length
    while end < count, scaling.lengthClass(end + 1) == `class` { end += 1 }
    return (end - start, length)
  }

  /// How many of a sequence's first tokens may use the keys and values of others.
  private func findableCount(of sequence: ServedSequence) -> Int {
    settings.sharesPrefixes && !sequence.mustScorePrompt ? shareableCount(of: sequence) : 0
  }

  /// How many of a sequence's first tokens have keys and values that others may use.
  private func shareableCount(of sequence: ServedSequence) -> Int {
    let uniform = settings.rotaryScaling.uniformLength
    let own = settings.sharesAnswers ? sequence.tokens.count : sequence.promptCount
    return sequence.promptCount > uniform ? 0 : min(own, uniform)
  }

  /// Enters the blocks that are full now for others to find.
  func share(_ sequence: ServedSequence) {
    guard settings.sharesPrefixes else { return }
    let full = min(sequence.cachedCount, shareableCount(of: sequence)) / CacheGeometry.blockTokens
    while sequence.sharedCount < full, let parent = sequence.lastPlace {
      sequence.lastPlace = blocks.share(sequence.sharedCount, of: &sequence.blocks, sequence.tokens, below: parent)
      if sequence.lastPlace != nil { sequence.sharedCount += 1 }
    }
  }

  /// Gives back the blocks that the next token will not see in any layer, and what was set aside for rows that have
  /// run.
  func dropUnseen(_ sequence: ServedSequence) {
    let count = max(sequence.tokens.count, sequence.cachedCount)
    blocks.dropUnseen(&sequence.blocks, from: sequence.cachedCount)
    sequence.grantedCount = min(
      sequence.grantedCount, settings.limits.blocks(count, pending: max(1, count - sequence.cachedCount)))
  }

  /// The parts of a step, as planned; without those of sequences that have just failed. Those with one adapter are
  /// neighbours, and among them those whose beginnings lie in the same blocks: what they have in common is read once.
  func makeParts(_ runs: [SchedulerPlan.Run]) -> [Part] {
    let chosen = runs.compactMap { run in running.first { $0.id == run.id }.map { (sequence: $0, count: run.count) } }
    var (parts, row): ([Part], Int) = ([], 0)
    for (sequence, count) in chosen.sorted(by: { $0.sequence < $1.sequence }) {
      parts.append(Part(sequence: sequence, count: count, row: row))
      row += count
    }
    return parts
  }
}

extension ServedSequence {
  /// Whether the prompt's log-probabilities are wanted and not complete: then all of it must run.
  var mustScorePrompt: Bool {
    id.answer == 0 && request.promptLogprobs != nil && request.scoredPrompt.count < promptCount
  }
}
