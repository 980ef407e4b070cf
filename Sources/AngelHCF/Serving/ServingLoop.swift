import AngelCore
import AngelGrammar
import AngelMemory
import AngelNN
import AngelText
import AngelTensor

/// The engine's work, a step at a time: plans, runs a batch, draws tokens, tells the requests. One thread drives it.
final class ServingLoop {
  let settings: Settings
  let blocks: SharedBlocks
  let runner: any BatchRunner
  let clock = ContinuousClock()
  /// Sequences without a place in the cache, and those with one.
  private(set) var waiting: [ServedSequence] = []
  private(set) var running: [ServedSequence] = []
  private var requests: [UInt64: ServedRequest] = [:]
  /// Steps so far.
  private(set) var step = 0
  var statistics = ServingStatistics()
  /// Told about each request when its work begins or it ends before: its tokens no longer wait.
  var onBegin: (ServedRequest) -> Void = { _ in }
  /// Told after each step how many rows ran in how many seconds.
  var onStep: (_ rows: Int, _ seconds: Double) -> Void = { _, _ in }

  /// What does not change.
  struct Settings {
    var limits = SchedulerLimits()
    var contextLength: Int
    var vocabularySize: Int
    /// Nil gives answers without text.
    var tokenizer: Tokenizer?
    var endTokens: Set<Int32> = []
    var rotaryScaling = RotaryScaling.none
    var sharesPrefixes = true
  }

  init(_ settings: Settings, blocks: SharedBlocks, runner: any BatchRunner) {
    self.settings = settings
    self.blocks = blocks
    self.runner = runner
    statistics.blockLimit = blocks.limit
    statistics.cacheTokens = blocks.limit / (1 + settings.limits.localBlocks) * settings.limits.blockTokens
  }

  /// Whether there is nothing to do.
  var isIdle: Bool { waiting.isEmpty && running.isEmpty }

  // MARK: Requests

  /// Takes in a checked request.
  func submit(_ submission: Submission) {
    let request = ServedRequest(submission)
    requests[request.id] = request
    enter(request, answer: 0, prompt: submission.prompt, sampler: submission.sampler)
  }

  private func enter(_ request: ServedRequest, answer: Int, prompt: [Int32], sampler: Sampler?) {
    let state = sampler.map { sampler in
      let (sampling, room) = (sampler.parameters, settings.contextLength - prompt.count)
      return ServedSequence.Answer(
        sampler: sampler,
        text: AnswerText(
          settings.tokenizer, endTokens: sampling.ignoresEndToken ? [] : settings.endTokens, stop: sampling.stop,
          shownTokens: request.asked?.shownTokens ?? [], limit: min(sampling.maxTokens ?? room, room)),
        matcher: request.asked?.constraint.map { TokenMatcher($0) })
    }
    let sequence = ServedSequence(
      SequenceID(request: request.id, answer: answer), request, prompt: prompt, answer: state)
    sequence.waitingSince = step
    waiting.append(sequence)
  }

  /// The other answers to a request, once its prompt has run: what it left in the cache is theirs too.
  func enterOtherAnswers(of sequence: ServedSequence) {
    guard case .answers(let asked, let seed, _) = sequence.request.content, asked.answerCount > 1 else { return }
    var sampling = asked.sampling
    sampling.seed = seed
    do {
      for answer in 1..<asked.answerCount {
        let sampler = try Sampler(
          parameters: sampling, promptTokens: asked.prompt.lazy.map(Int.init), vocabularySize: settings.vocabularySize,
          stream: UInt64(answer))
        enter(sequence.request, answer: answer, prompt: asked.prompt, sampler: sampler)
      }
    } catch { fail(sequence.request, error) }
  }

  /// Ends a request where it stands; nothing happens when it has ended.
  func cancel(_ id: UInt64) {
    guard let request = requests[id] else { return }
    statistics.cancelled += 1
    fail(request, Interrupted())
  }

  /// Ends every request.
  func cancelAll() { for id in requests.keys.sorted() { cancel(id) } }

  /// Ends a request with an error.
  func fail(_ request: ServedRequest, _ error: any Error) {
    for sequence in running + waiting where sequence.request === request { remove(sequence) }
    forget(request)
    request.fail(error)
  }

  /// Ends an answer.
  func finish(_ sequence: ServedSequence, _ reason: FinishReason) {
    if reason == .stop { statistics.finishedByStop += 1 } else { statistics.finishedByLength += 1 }
    remove(sequence)
    // Forgotten first: it is in no figures any more.
    if sequence.request.openAnswers == 1 { forget(sequence.request) }
    sequence.request.finish(answer: sequence.id.answer, reason)
  }

  func finish(_ sequence: ServedSequence, vector: [Float]) {
    remove(sequence)
    forget(sequence.request)
    sequence.request.finish(vector: vector)
  }

  private func forget(_ request: ServedRequest) {
    requests[request.id] = nil
    if !request.hasBegun { onBegin(request) }
  }

  private func remove(_ sequence: ServedSequence) {
    running.removeAll { $0 === sequence }
    waiting.removeAll { $0 === sequence }
    blocks.release(sequence.blocks)
    sequence.loseBlocks()
  }

  // MARK: Steps

  /// Plans and runs one step. Trouble of a request ends that request, trouble of the model those that took part.
  func runStep() {
    step += 1
    let begin = clock.now
    let (plan, prefixes) = makePlan()
    for id in plan.preempted { preempt(id) }
    admit(plan.admitted, prefixes, plan.runs)
    let parts = makeParts(plan.runs)
    var modelSeconds = 0.0
    if !parts.isEmpty {
      do { modelSeconds = try run(parts) } catch { for part in parts { fail(part.sequence.request, error) } }
    }
    let seconds = (clock.now - begin).seconds
    statistics.modelSeconds += modelSeconds
    statistics.schedulingSeconds += seconds - modelSeconds
    onStep(parts.reduce(0) { $0 + $1.count }, seconds)
  }

  /// The figures, with the state of queue and cache now.
  var currentStatistics: ServingStatistics {
    var result = statistics
    result.running = running.count
    result.waiting = waiting.count
    result.blocksInUse = blocks.usedCount
    result.blocksKept = blocks.keptCount
    return result
  }

  private func preempt(_ id: SequenceID) {
    guard let index = running.firstIndex(where: { $0.id == id }) else { return }
    let sequence = running.remove(at: index)
    blocks.release(sequence.blocks)
    sequence.loseBlocks()
    sequence.waitingSince = step
    sequence.request.notePreemption()
    statistics.preemptions += 1
    waiting.append(sequence)
  }

  /// Sets blocks aside for what runs, gives waiting sequences a place, and then everybody the blocks of this step.
  private func admit(
    _ admitted: [SequenceID], _ prefixes: [SequenceID: SharedBlocks.Prefix], _ runs: [SchedulerPlan.Run]
  ) {
    let arriving = admitted.compactMap { id in waiting.first { $0.id == id } }
    // All prefixes first: what has a user is not given up for another's blocks.
    for sequence in arriving { if let prefix = prefixes[sequence.id] { blocks.take(prefix) } }
    for sequence in running where runs.contains(where: { $0.id == sequence.id }) {
      let (tokens, pending) = (sequence.tokens.count, sequence.tokens.count - sequence.cachedCount)
      sequence.grantedCount = max(sequence.grantedCount, settings.limits.blocks(tokens, pending: pending))
    }
    for sequence in arriving { place(sequence, prefixes[sequence.id] ?? SharedBlocks.Prefix()) }
    for run in runs { extend(run) }
  }

  private func place(_ sequence: ServedSequence, _ prefix: SharedBlocks.Prefix) {
    // Another answer to it may have failed in this very step.
    guard !sequence.request.hasEnded else { return blocks.release(prefix.blocks) }
    let cached = cachedCount(of: sequence, prefix)
    let granted = settings.limits.blocks(sequence.tokens.count, pending: sequence.tokens.count - cached)
    // Blocks that several hold may have been counted twice: then it waits on.
    guard granted - prefix.blocks.heldCount <= availableCount else { return blocks.release(prefix.blocks) }
    sequence.blocks = prefix.blocks
    sequence.grantedCount = granted
    sequence.cachedCount = cached
    sequence.sharedCount = prefix.count
    sequence.lastPlace = prefix.places.last ?? PrefixTree.root
    sequence.waitedSteps += step - sequence.waitingSince
    waiting.removeAll { $0 === sequence }
    running.append(sequence)
    if sequence.tokens.count == sequence.promptCount {
      statistics.prefixQueriedTokens += sequence.promptCount
      statistics.prefixHitTokens += sequence.cachedCount
    }
    guard !sequence.request.hasBegun else { return }
    onBegin(sequence.request)
    sequence.request.noteBegin(cachedTokens: sequence.cachedCount)
  }

  /// Gives a sequence the blocks of what runs of it.
  private func extend(_ run: SchedulerPlan.Run) {
    guard let sequence = running.first(where: { $0.id == run.id }) else { return }
    let missing = settings.limits.spans(sequence.cachedCount + run.count) - sequence.blocks.count
    guard missing > 0 else { return }
    do { try blocks.extend(&sequence.blocks, by: missing) } catch {
      // The pool's pages may run out before its limit: then it waits for others to end, if there are any.
      if running.count > 1 { preempt(run.id) } else { fail(sequence.request, error) }
    }
  }
}
