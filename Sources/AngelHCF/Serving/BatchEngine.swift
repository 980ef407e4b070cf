public import AngelCheckpoint
import AngelCore
public import AngelMemory
import AngelModels
public import AngelNN
public import AngelTensor
public import AngelText
import Synchronization

/// Serves many requests at once with one model: continuous batching over a paged cache that shares common beginnings.
///
/// A thread of its own plans and runs steps; it is the first worker of the backend's pool and sleeps while there is
/// nothing to do. By the kernel contract an answer is the same whatever else runs: tokens and log-probabilities bit for
/// bit.
public final class BatchEngine: AdapterEngine {
  public let contextLength: Int
  public let vocabularySize: Int
  public let tokenizer: Tokenizer
  public let chatTemplate: ChatTemplate?
  public let constraints: ConstraintCompiler
  private let admission: Admission
  private let inbox: Mailbox<Message>
  private let figures: Figures
  private let adapters: AdapterNames
  private let thread: DedicatedThread

  /// What the engine's thread is told.
  private enum Message: Sendable {
    case submit(Submission)
    case cancel(UInt64)
    case load(adapter: String, PEFTFolder, onEnd: @Sendable (Result<Void, any Error>) -> Void)
    case unload(PlacedAdapter, onEnd: @Sendable () -> Void)
    case drain(@Sendable () -> Void)
    case stop
  }

  /// Figures of the last step.
  private final class Figures: Sendable {
    let value = Mutex(ServingStatistics())
  }

  /// Loads a checkpoint's model onto `backend`, its cache from `pool`, once the memory plan has been found to fit.
  ///
  /// - Parameter plan: the one for these options, where it has been made already.
  public convenience init(
    _ checkpoint: Checkpoint, on backend: any Backend, pool: PagePool, arithmetic: Arithmetic = .fast,
    options: ServingOptions = .init(), plan: ModelPlan? = nil,
    report: @escaping @Sendable (_ bytesRead: Int, _ bytesInAll: Int) -> Void = { _, _ in }
  ) throws {
    var options = options
    let loaded = try LoadedLanguageModel(
      checkpoint, on: backend, arithmetic: arithmetic, report: report
    ) {
      let plan =
        try plan
        ?? ModelPlan(checkpoint, arithmetic: arithmetic, serving: options, budget: pool.budget)
      try plan.check(budget: pool.budget)
      options.cacheTokens = plan.cacheTokens
    }
    try self.init(loaded, on: backend, pool: pool, options: options)
  }

  /// Serves a loaded model.
  public init(_ loaded: LoadedLanguageModel, on backend: any Backend, pool: PagePool, options: ServingOptions) throws {
    let loop = try ServingLoop(
      loaded.model, tokenizer: loaded.tokenizer, endTokens: loaded.endTokens, on: backend, pool: pool, options: options)
    contextLength = loop.settings.contextLength
    vocabularySize = loop.settings.vocabularySize
    tokenizer = loaded.tokenizer
    chatTemplate = loaded.chatTemplate
    constraints = ConstraintCompiler(loaded.tokenizer, endTokens: loaded.endTokens)
    let (admission, inbox, figures, adapters) = (
      Admission(limit: options.queuedTokenLimit), Mailbox<Message>(), Figures(), AdapterNames()
    )
    figures.value.withLock { $0 = loop.currentStatistics }
    loop.onBegin = { admission.leave(tokens: $0.queuedTokens) }
    loop.onStep = { admission.measure(rows: $0, seconds: $1) }
    (self.admission, self.inbox, self.figures, self.adapters) = (admission, inbox, figures, adapters)
    let work = Work(loop: loop)
    thread = try DedicatedThread { Self.serve(work.loop, inbox, figures, adapters) }
  }

  /// Ends what is in hand and waits for the thread.
  deinit {
    inbox.send(.stop)
    // The last owner may let go inside a callback, which is on that very thread.
    if thread.isCurrent { thread.detach() } else { thread.join() }
  }

  /// The loop on its way to its thread.
  private struct Work: @unchecked Sendable {
    // SAFETY: made by the initializer, which does not touch it any more once the thread runs.
    let loop: ServingLoop
  }

  private static func serve(
    _ loop: ServingLoop, _ inbox: Mailbox<Message>, _ figures: Figures, _ adapters: AdapterNames
  ) {
    var drained: [@Sendable () -> Void] = []
    while true {
      for message in inbox.receive(waits: loop.isIdle) {
        switch message {
        case .submit(let submission): loop.submit(submission)
        case .cancel(let id): loop.cancel(id)
        case .load(let name, let folder, let onEnd): onEnd(Result { try loop.load(folder, as: name, adapters) })
        case .unload(let adapter, let onEnd): loop.remove(adapter, onEnd: onEnd)
        case .drain(let onEnd): drained.append(onEnd)
        case .stop:
          loop.cancelAll()
          for onEnd in drained { onEnd() }
          return
        }
      }
      if !loop.isIdle { loop.runStep() }
      figures.value.withLock { $0 = loop.currentStatistics }
      guard loop.isIdle else { continue }
      for onEnd in drained { onEnd() }
      drained = []
    }
  }

  // MARK: Requests

  public func submit(_ request: ServingRequest, onEvent: @escaping @Sendable (ServingEvent) -> Void) throws
    -> ServingTicket
  {
    let begin = ContinuousClock.now
    try check(request.prompt, reserved: 1)
    guard (1...ServingRequest.answerLimit).contains(request.answerCount) else {
      throw SamplingError.invalid(
        field: "n", value: "\(request.answerCount)", range: "1...\(ServingRequest.answerLimit)")
    }
    if let count = request.promptLogprobs, !(0...20).contains(count) {
      throw SamplingError.invalid(field: "promptLogprobs", value: "\(count)", range: "0...20")
    }
    let sampler = try Sampler(
      parameters: request.sampling, promptTokens: request.prompt.lazy.map(Int.init), vocabularySize: vocabularySize)
    return try adapters.find(request.adapter) { adapter in
      try enter(
        request.prompt, tokens: request.queuedTokens(contextLength: contextLength), begin,
        .answers(request, seed: sampler.seed, onEvent: onEvent), sampler, adapter)
    }
  }

  public func embed(_ tokens: [Int32], onResult: @escaping @Sendable (Result<[Float], any Error>) -> Void) throws
    -> ServingTicket
  {
    try embed(tokens, adapter: nil, onResult: onResult)
  }

  public func embed(
    _ tokens: [Int32], adapter: String?, onResult: @escaping @Sendable (Result<[Float], any Error>) -> Void
  ) throws -> ServingTicket {
    let begin = ContinuousClock.now
    try check(tokens, reserved: 0)
    return try adapters.find(adapter) { adapter in
      try enter(tokens, tokens: tokens.count, begin, .embedding(onResult: onResult), nil, adapter)
    }
  }

  public func load(
    adapter name: String, from path: String, onEnd: @escaping @Sendable (Result<Void, any Error>) -> Void
  ) throws {
    inbox.send(.load(adapter: name, try PEFTFolder(path: path), onEnd: onEnd))
  }

  public func unload(adapter name: String, onEnd: @escaping @Sendable () -> Void) throws {
    try adapters.remove(name) { inbox.send(.unload($0, onEnd: onEnd)) }
  }

  public func chatTemplate(for adapter: String) -> ChatTemplate? { adapters.chatTemplate(adapter) ?? chatTemplate }

  public var statistics: ServingStatistics { figures.value.withLock { $0 } }

  public func drain(onEnd: @escaping @Sendable () -> Void) {
    admission.drain { inbox.send(.drain(onEnd)) }
  }

  private func check(_ tokens: [Int32], reserved: Int) throws(EngineError) {
    guard !tokens.isEmpty else { throw .emptyPrompt }
    for token in tokens where token < 0 || Int(token) >= vocabularySize {
      throw .tokenOutOfRange(token: token, vocabularySize: vocabularySize)
    }
    guard tokens.count + reserved <= contextLength else {
      throw reserved == 0
        ? .contextExceeded(tokens: tokens.count, held: 0, limit: contextLength)
        : .noRoomForAnswer(tokens: tokens.count, limit: contextLength)
    }
  }

  private func enter(
    _ prompt: [Int32], tokens: Int, _ begin: ContinuousClock.Instant, _ content: ServedRequest.Content,
    _ sampler: Sampler?, _ adapter: PlacedAdapter?
  ) throws(ServingRefusal) -> ServingTicket {
    let id = try admission.enter(tokens: tokens) { id in
      inbox.send(
        .submit(
          Submission(
            id: id, prompt: prompt, queuedTokens: tokens, begin: begin, content: content, sampler: sampler,
            adapter: adapter)))
    }
    return ServingTicket(id: id) { [inbox] in inbox.send(.cancel(id)) }
  }
}

extension ServingRequest {
  /// The most answers a request may ask for.
  public static let answerLimit = 128
  /// Tokens of an answer without a limit of its own, for the queue's count.
  private static let usualAnswer = 256

  /// Tokens it may need, as the queue counts them.
  func queuedTokens(contextLength: Int) -> Int {
    let room = contextLength - prompt.count
    return prompt.count + answerCount * min(sampling.maxTokens ?? Self.usualAnswer, room)
  }
}
