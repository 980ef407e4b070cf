import AngelCore

/// A request in the engine's hands: whom to tell, and what it took so far.
final class ServedRequest {
  let id: UInt64
  let priority: Int
  /// Tokens it counted for in the queue until it was first taken up.
  let queuedTokens: Int
  /// Nil: the model alone.
  let adapter: PlacedAdapter?
  let content: Content
  private let outbox: EventOutbox
  private let begin: ContinuousClock.Instant
  private let clock = ContinuousClock()
  private(set) var usage = ServingUsage()
  /// The prompt's tokens with log-probabilities, as far as they are known.
  var scoredPrompt: [SampledToken] = []
  /// Answers that have not ended.
  private(set) var openAnswers: Int
  private(set) var hasEnded = false
  private(set) var hasBegun = false

  /// What is asked for, and who listens.
  enum Content {
    case answers(ServingRequest, seed: Int, onEvent: @Sendable (ServingEvent) -> Void)
    case embedding(onResult: @Sendable (Result<[Float], any Error>) -> Void)
  }

  init(_ submission: Submission, outbox: EventOutbox) {
    id = submission.id
    self.outbox = outbox
    queuedTokens = submission.queuedTokens
    adapter = submission.adapter
    begin = submission.begin
    content = submission.content
    usage.promptTokens = submission.prompt.count
    switch submission.content {
    case .answers(let request, _, _):
      priority = request.priority
      // Nothing comes before the first token.
      if request.promptLogprobs != nil { scoredPrompt = [SampledToken(token: Int(request.prompt[0]))] }
      openAnswers = request.answerCount
    case .embedding:
      priority = 0
      openAnswers = 1
    }
  }

  /// Where its texts begin in the prefix tree.
  var root: PrefixTree.NodeID { PrefixTree.root(adapter?.key ?? 0) }

  /// The likeliest tokens to report beside each of the prompt's; nil where the prompt is not to be reported.
  var promptLogprobs: Int? { asked?.promptLogprobs }

  /// The request, where it asks for answers.
  var asked: ServingRequest? {
    guard case .answers(let request, _, _) = content else { return nil }
    return request
  }

  /// Notes that work on it begins; `cachedTokens` of its prompt need none.
  func noteBegin(cachedTokens: Int) {
    guard !hasBegun else { return }
    hasBegun = true
    usage.cachedTokens = cachedTokens
    usage.secondsQueued = (clock.now - begin).seconds
  }

  func notePreemption() { usage.preemptions += 1 }

  /// Notes a drawn token.
  func noteToken() {
    if usage.completionTokens == 0 { usage.secondsToFirstToken = (clock.now - begin).seconds }
    usage.completionTokens += 1
  }

  func send(_ event: ServingEvent) {
    guard !hasEnded, case .answers(_, _, let onEvent) = content else { return }
    outbox.put(event, for: onEvent)
  }

  /// Ends one answer, and with the last of them the request.
  func finish(answer: Int, _ reason: FinishReason, stopText: String?) {
    send(.finished(answer: answer, reason, stopText: stopText))
    openAnswers -= 1
    guard openAnswers == 0 else { return }
    usage.seconds = (clock.now - begin).seconds
    send(.done(usage))
    hasEnded = true
  }

  /// Ends a request for a hidden state.
  func finish(vector: [Float]) {
    guard !hasEnded, case .embedding(let onResult) = content else { return }
    hasEnded = true
    onResult(.success(vector))
  }

  func fail(_ error: any Error) {
    guard !hasEnded else { return }
    send(.failed(error))
    if case .embedding(let onResult) = content { onResult(.failure(error)) }
    hasEnded = true
  }
}

/// A request as it goes from its sender's thread to the engine's: checked and admitted.
struct Submission: Sendable {
  let id: UInt64
  let prompt: [Int32]
  let queuedTokens: Int
  let begin: ContinuousClock.Instant
  let content: ServedRequest.Content
  /// Draws the first answer; nil for a hidden state.
  let sampler: Sampler?
  /// Nil: the model alone.
  var adapter: PlacedAdapter?
}

extension ServedRequest.Content: Sendable {}
