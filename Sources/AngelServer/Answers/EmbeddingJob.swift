import AngelCore
import AngelHCF
import Synchronization

/// Texts on their way through an engine, to be answered with what is made of their vectors.
final class EmbeddingJob: Sendable {
  private let call: APICall
  private let use: ModelUse
  private let texts: EmbeddingTexts
  private let makeAnswer: @Sendable ([[Float]]) -> JSONValue
  private let state: Mutex<State>

  private struct State {
    var vectors: [[Float]]
    var left: Int
    var tickets: [ServingTicket] = []
    /// Whether nothing more is taken from the engine.
    var isOver = false
    /// Whether it has been answered, or nobody waits for an answer any more.
    var hasEnded = false
    /// Stops watching the key.
    var unwatch: (@Sendable () -> Void)?
  }

  private init(
    _ texts: EmbeddingTexts, _ use: ModelUse, _ call: APICall,
    _ makeAnswer: @escaping @Sendable ([[Float]]) -> JSONValue
  ) {
    self.call = call
    self.use = use
    self.texts = texts
    self.makeAnswer = makeAnswer
    state = Mutex(State(vectors: Array(repeating: [], count: texts.tokens.count), left: texts.tokens.count))
  }

  /// Queues the texts and answers `call` later.
  ///
  /// - Parameter makeAnswer: called on one of the server's threads with a vector for each text.
  /// - Throws: `ServingRefusal` or `EngineError` when they are not taken.
  static func run(
    _ texts: EmbeddingTexts, _ use: ModelUse, _ call: APICall, makeAnswer: @escaping @Sendable ([[Float]]) -> JSONValue
  ) throws {
    let job = EmbeddingJob(texts, use, call, makeAnswer)
    switch use.model {
    case .encoder(let engine): job.add(try engine.embed(texts.tokens) { job.finish($0) })
    case .language(let engine): try job.run(on: engine)
    }
    call.exchange.whenGone { job.cancel(nil) }
    // Only now: of one that was not taken nobody would end the watch.
    job.watchKey()
  }

  /// Texts one by one: the engine batches them with what else it has.
  private func run(on engine: any ServingEngine) throws {
    for (index, text) in texts.tokens.enumerated() {
      do {
        add(try engine.embed(text) { [self] result in take(result, index) })
      } catch {
        cancel(nil)
        throw error
      }
    }
  }

  private func add(_ ticket: ServingTicket) {
    let isOver = state.withLock { state in
      state.tickets.append(ticket)
      return state.isOver
    }
    if isOver { ticket.cancel() }
  }

  /// Ends the request when the key it came with is revoked.
  private func watchKey() {
    guard let key = call.key, let keys = call.server.keys else { return }
    let end = keys.watch(key) { [self] in cancel(.keyLost) }
    let isEnded = state.withLock { state in
      if !state.hasEnded { state.unwatch = end }
      return state.hasEnded
    }
    if isEnded { end() }
  }

  /// Ends the request where it stands. With an error, the client is told why.
  private func cancel(_ error: APIError?) {
    let held = state.withLock { state -> (tickets: [ServingTicket], unwatch: (@Sendable () -> Void)?)? in
      guard !state.hasEnded else { return nil }
      (state.isOver, state.hasEnded) = (true, true)
      return (state.tickets, state.unwatch.take())
    }
    guard let held else { return }
    held.unwatch?()
    for ticket in held.tickets { ticket.cancel() }
    // What the engine was given is used up. An encoder is given all texts at once.
    let isEncoder = if case .encoder = use.model { true } else { false }
    let count = isEncoder ? texts.tokens.count : held.tickets.count
    charge(texts.tokens.prefix(count).reduce(0) { $0 + $1.count })
    if let error { call.fail(error) } else { call.note { $0.error = APICall.apiError(Interrupted()).code } }
  }

  private func charge(_ tokenCount: Int) {
    var usage = ServingUsage()
    usage.promptTokens = tokenCount
    call.charge(usage)
  }

  private func take(_ result: Result<[Float], any Error>, _ index: Int) {
    let end = state.withLock { state -> Result<[[Float]], any Error>? in
      guard !state.isOver else { return nil }
      switch result {
      case .success(let vector):
        state.vectors[index] = vector
        state.left -= 1
        state.isOver = state.left == 0
        return state.isOver ? .success(state.vectors) : nil
      case .failure(let error):
        state.isOver = true
        return .failure(error)
      }
    }
    guard let end else { return }
    // Where one text fails the others are not needed.
    if case .failure = end { for ticket in state.withLock(\.tickets) { ticket.cancel() } }
    finish(end)
  }

  private func finish(_ result: Result<[[Float]], any Error>) {
    let (isFirst, unwatch) = state.withLock { state in
      defer { (state.hasEnded, state.unwatch) = (true, nil) }
      return (!state.hasEnded, state.unwatch)
    }
    unwatch?()
    guard isFirst else { return }
    do {
      let vectors = try result.get()
      if let first = vectors.first { try texts.check(width: first.count) }
      charge(texts.tokenCount)
      call.send { [makeAnswer] in makeAnswer(vectors) }
    } catch {
      call.fail(error)
    }
  }
}
