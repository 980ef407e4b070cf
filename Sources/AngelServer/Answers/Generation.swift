import AngelCore
import AngelHCF
import Synchronization

/// A request in the engine's hands: gathers its events, and turns them into a whole answer or a stream.
///
/// Events come on the engine's thread, which only puts them down; JSON is made on the server's. What waits for a slow reader is
/// bounded by what the request may generate: as many contexts as it asks for answers, with their log-probabilities.
final class Generation: Sendable {
  private let call: APICall
  private let use: ModelUse
  let plan: GenerationPlan
  let form: any AnswerForm
  let state: Mutex<State>

  struct State {
    var tickets: [ServingTicket] = []
    var answers: [CollectedAnswer]
    /// Events that the stream has not written yet.
    var waiting: [AnswerEvent] = []
    /// What writes the stream; nil before it is first asked.
    var stream: (any AnswerStream)?
    var promptsLeft: Int
    var usage = ServingUsage()
    var error: APIError?
    /// Whether nothing more is taken from the engine, and whether the stream has said so.
    var isOver = false
    var hasEnded = false
    /// Stops watching the key.
    var unwatch: (@Sendable () -> Void)?
    /// When each answer's last token came, and the times between tokens.
    var lastToken: [Double]
    var gaps: [Double] = []
    var tokenCount = 0
  }

  private init(_ call: APICall, _ use: ModelUse, _ plan: GenerationPlan, _ form: any AnswerForm) {
    self.call = call
    self.use = use
    self.plan = plan
    self.form = form
    let count = plan.prompts.count * plan.answerCount
    var answers = Array(repeating: CollectedAnswer(), count: count)
    if plan.echoes {
      for index in 0..<count { answers[index].echo = plan.prompts[index / plan.answerCount].text }
    }
    state = Mutex(
      State(answers: answers, promptsLeft: plan.prompts.count, lastToken: Array(repeating: 0, count: count)))
  }

  /// Queues the request and answers `call`, now or later.
  ///
  /// - Returns: where a stream of it comes from.
  /// - Throws: `APIError` or `ServingRefusal` when it is not taken.
  @discardableResult
  static func run(
    _ plan: GenerationPlan, _ form: any AnswerForm, _ use: ModelUse, _ call: APICall
  ) throws -> Generation {
    let generation = Generation(call, use, plan, form)
    let engine = try call.engine(of: use)
    do {
      for index in plan.prompts.indices {
        var request = ServingRequest(prompt: plan.prompts[index].tokens, sampling: plan.sampling)
        request.answerCount = plan.answerCount
        request.priority = plan.priority
        request.promptLogprobs = plan.promptLogprobs
        request.constraint = plan.constraint
        request.shownTokens = plan.shownTokens
        let ticket = try engine.submit(request) { generation.take($0, ofPrompt: index) }
        let isOver = generation.state.withLock { state in
          state.tickets.append(ticket)
          return state.isOver
        }
        // One that failed at once: the others are not needed.
        if isOver { ticket.cancel() }
      }
    } catch {
      if case .queueFull? = error as? ServingRefusal {
        call.server.metrics.count(use.name) { $0.refused["queue_full", default: 0] += 1 }
      }
      generation.cancel(APICall.apiError(error), answers: false)
      throw error
    }
    call.exchange.whenGone { generation.cancel(nil, answers: false) }
    generation.watchKey()
    if plan.streams { call.stream(generation, type: form.streamType) }
    return generation
  }

  /// Ends the request when the key it came with is revoked.
  private func watchKey() {
    guard let key = call.key, let keys = call.server.keys else { return }
    let end = keys.watch(key) { [self] in
      cancel(.keyLost, answers: true)
    }
    let isOver = state.withLock { state in
      if !state.isOver { state.unwatch = end }
      return state.isOver
    }
    if isOver { end() }
  }

  /// Ends the request where it stands. With `answers`, the client is told why.
  private func cancel(_ error: APIError?, answers: Bool) {
    let (tickets, isFirst) = state.withLock { state -> ([ServingTicket], Bool) in
      guard !state.isOver else { return ([], false) }
      state.error = error ?? APICall.apiError(Interrupted())
      state.isOver = true
      // What the engine has done so far is used up; its own count will not come any more.
      state.usage.promptTokens = plan.prompts.prefix(state.tickets.count).reduce(0) { $0 + $1.tokens.count }
      state.usage.completionTokens = state.tokenCount
      return (state.tickets, true)
    }
    guard isFirst else { return }
    for ticket in tickets { ticket.cancel() }
    if answers { tellEnd() } else { end() }
  }

  // On the engine's thread

  private func take(_ event: ServingEvent, ofPrompt prompt: Int) {
    let first = prompt * plan.answerCount
    let isLast = state.withLock { state -> Bool in
      guard !state.isOver else { return false }
      switch event {
      case .prompt(let tokens):
        for answer in first..<(first + plan.answerCount) {
          if plan.streams {
            state.waiting.append(.prompt(answer: answer, tokens))
          } else {
            state.answers[answer].promptTokens = tokens
          }
        }
      case .piece(var piece):
        piece.answer += first
        note(piece, &state)
        if plan.discardsAnswers { break }
        if plan.streams {
          state.waiting.append(.piece(piece))
        } else {
          let isApart = form.keepsPieces
          state.answers[piece.answer].add(
            piece, isApart: isApart, keepsTokens: isApart || plan.sampling.logprobs != nil)
        }
      case .finished(let answer, let reason, let stopText):
        let reason = plan.discardsAnswers ? .length : reason
        state.answers[first + answer].reason = reason
        state.answers[first + answer].stopText = stopText
        if plan.streams {
          state.waiting.append(.finished(answer: first + answer, reason, stopText: stopText))
        }
      case .done(let usage):
        state.usage.add(usage)
        state.promptsLeft -= 1
        state.isOver = state.promptsLeft == 0
        return state.isOver
      case .failed(let error):
        state.error = APICall.apiError(error)
        state.isOver = true
        return true
      }
      return false
    }
    if isLast {
      tellEnd()
    } else if plan.streams {
      call.exchange.wake()
    }
  }

  private func note(_ piece: ServingPiece, _ state: inout State) {
    guard !piece.tokens.isEmpty else { return }
    state.tokenCount += piece.tokens.count
    let now = MonotonicClock.seconds()
    let last = state.lastToken[piece.answer]
    if last > 0 { state.gaps.append((now - last) / Double(piece.tokens.count)) }
    state.lastToken[piece.answer] = now
  }

  /// Everything has come, or nothing more will.
  private func tellEnd() {
    end()
    let (error, tickets) = state.withLock { ($0.error, $0.tickets) }
    // Where one prompt fails the others are not needed.
    if error != nil { for ticket in tickets { ticket.cancel() } }
    guard !plan.streams else { return call.exchange.wake() }
    if let error { return call.fail(error) }
    call.send { [self] in form.whole(state.withLock(\.answers), state.withLock(\.usage)) }
  }

  /// Lets go of the key and counts.
  private func end() {
    let unwatch = state.withLock { state in
      defer { state.unwatch = nil }
      return state.unwatch
    }
    unwatch?()
    let (usage, reasons, gaps, error) = state.withLock { ($0.usage, $0.answers.map(\.reason), $0.gaps, $0.error) }
    call.charge(usage)
    if let error { call.note { $0.error = error.code } }
    let metrics = call.server.metrics
    metrics.count(use.name) { counts in for gap in gaps { counts.betweenTokens.add(gap) } }
    if error == nil {
      metrics.countEnd(
        use.name, usage, reasons: reasons, longest: plan.sampling.maxTokens)
    } else {
      metrics.count(use.name) { $0.finished["abort", default: 0] += 1 }
    }
  }
}

extension ServingUsage {
  /// Adds what another prompt of the same request took; times are the longest of the two.
  fileprivate mutating func add(_ other: ServingUsage) {
    promptTokens += other.promptTokens
    cachedTokens += other.cachedTokens
    completionTokens += other.completionTokens
    preemptions += other.preemptions
    secondsQueued = max(secondsQueued, other.secondsQueued)
    secondsToFirstToken = max(secondsToFirstToken, other.secondsToFirstToken)
    seconds = max(seconds, other.seconds)
  }
}
