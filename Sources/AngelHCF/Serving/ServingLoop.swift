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
  private let outbox = EventOutbox()
  /// Nil: there are none.
  let adapters: AdapterPlaces?
  /// Adapters that go once no request has them, and who is told then.
  private var leaving: [(adapter: PlacedAdapter, onEnd: @Sendable () -> Void)] = []
  /// Steps so far.
  private(set) var step = 0
  var statistics = ServingStatistics()
  /// How many tokens to guess.
  var depth = LookupGuesser.depth
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
    /// Whether others find what an answer added to its prompt. Not where prompts are computed otherwise than answers:
    /// what they find must be what they would compute.
    var sharesAnswers = true
    var guessing = Guessing.off
  }

  /// How many tokens are guessed.
  enum Guessing: Equatable {
    case off
    case asPays
    /// Wherever there is something to guess from.
    case always(Int)
  }

  init(_ settings: Settings, pool: BlockPool, runner: any BatchRunner, adapters: AdapterPlaces? = nil) {
    self.settings = settings
    self.adapters = adapters
    blocks = SharedBlocks(pool, settings.limits.windows)
    self.runner = runner
    statistics.blockLimit = blocks.limit
    statistics.cacheTokens = blocks.limit / settings.limits.windows.spanBlocks * CacheGeometry.blockTokens
  }

  /// Whether there is nothing to do.
  var isIdle: Bool { waiting.isEmpty && running.isEmpty }

  // MARK: Requests

  /// Takes in a checked request.
  func submit(_ submission: Submission) {
    let request = ServedRequest(submission, outbox: outbox)
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
    sequence.beginWaiting(at: step)
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
    settle()
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
    sequence.request.finish(answer: sequence.id.answer, reason, stopText: sequence.answer?.text.stopText)
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

  /// Takes an adapter out once the requests that have it have ended.
  func remove(_ adapter: PlacedAdapter, onEnd: @escaping @Sendable () -> Void) {
    leaving.append((adapter, onEnd))
    settle()
  }

  /// Tells what has happened, and lets go of adapters that nobody has any more.
  private func settle() {
    outbox.empty()
    guard !leaving.isEmpty else { return }
    let used = Set(requests.values.compactMap { $0.adapter?.key })
    for (adapter, onEnd) in leaving where !used.contains(adapter.key) {
      adapters?.remove(adapter)
      onEnd()
    }
    leaving.removeAll { !used.contains($0.adapter.key) }
  }

  // MARK: Steps

  /// Plans and runs one step. Trouble of a request ends that request, trouble of the model those that took part.
  func runStep() {
    step += 1
    let (begin, cpuBegin) = (clock.now, ThreadClock.seconds())
    guess()
    let (plan, prefixes) = makePlan()
    for id in plan.preempted { preempt(id) }
    admit(plan.admitted, prefixes, plan.runs)
    let parts = makeParts(plan.runs)
    var model = StepTime()
    if !parts.isEmpty {
      do { model = try run(parts) } catch { for part in parts { fail(part.sequence.request, error) } }
    }
    settle()
    let seconds = (clock.now - begin).seconds
    statistics.modelSeconds += model.seconds
    statistics.schedulingSeconds += seconds - model.seconds
    statistics.schedulingCPUSeconds += ThreadClock.seconds() - cpuBegin - model.cpuSeconds
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
    sequence.beginWaiting(at: step)
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
      let (tokens, pending) = (sequence.wantedCount, sequence.wantedCount - sequence.cachedCount)
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
    sequence.lastPlace = prefix.places.last ?? sequence.request.root
    sequence.endWaiting(at: step)
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

  /// Gives a sequence the blocks of what runs of it. The pool's pages may run out before its limit: then the last in
  /// turn gives its own back, and waits for others to end.
  private func extend(_ run: SchedulerPlan.Run) {
    while let sequence = running.first(where: { $0.id == run.id }) {
      let missing = CacheGeometry.spanCount(sequence.cachedCount + run.count) - sequence.blocks.count
      guard missing > 0 else { return }
      do { return try blocks.extend(&sequence.blocks, by: missing) } catch {
        let last = running.max { turn(of: $0) < turn(of: $1) }
        guard running.count > 1, let last else { return fail(sequence.request, error) }
        preempt(last.id)
      }
    }
  }
}
