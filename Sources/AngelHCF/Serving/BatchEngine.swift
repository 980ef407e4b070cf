public import AngelCheckpoint
import AngelCore
public import AngelMemory
public import AngelNN
public import AngelTensor
public import AngelText
import AngelModels
import Synchronization

/// Serves many requests at once with one model: continuous batching over a paged cache that shares common beginnings.
///
/// A thread of its own plans and runs steps; it is the first worker of the backend's pool and sleeps while there is nothing
/// to do. By the kernel contract an answer is the same whatever else runs: tokens and log-probabilities bit for bit.
public final class BatchEngine: ServingEngine {
  public let contextLength: Int
  public let vocabularySize: Int
  public let tokenizer: Tokenizer
  public let chatTemplate: ChatTemplate?
  public let constraints: ConstraintCompiler
  private let admission: Admission
  private let inbox: Mailbox<Message>
  private let figures: Figures
  private let thread: DedicatedThread

  /// What the engine's thread is told.
  private enum Message: Sendable {
    case submit(Submission)
    case cancel(UInt64)
    case drain(@Sendable () -> Void)
    case stop
  }

  /// Figures of the last step.
  private final class Figures: Sendable {
    let value = Mutex(ServingStatistics())
  }

  /// Loads a checkpoint's model onto `backend`, its cache from `pool`, once the memory plan has been found to fit.
  public convenience init(
    _ checkpoint: Checkpoint, on backend: any Backend, pool: PagePool, arithmetic: Arithmetic = .fast,
    options: ServingOptions = .init(),
    report: @escaping @Sendable (_ bytesRead: Int, _ bytesInAll: Int) -> Void = { _, _ in }
  ) throws {
    var options = options
    let loaded = try LoadedLanguageModel(
      checkpoint, on: backend, arithmetic: arithmetic, adapter: options.engine.adapter, report: report
    ) {
      let plan = try ModelPlan(checkpoint, arithmetic: arithmetic, serving: options, budget: pool.budget)
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
    let (admission, inbox, figures) = (
      Admission(limit: options.queuedTokenLimit), Mailbox<Message>(), Figures()
    )
    figures.value.withLock { $0 = loop.currentStatistics }
    loop.onBegin = { admission.leave(tokens: $0.queuedTokens) }
    loop.onStep = { admission.measure(rows: $0, seconds: $1) }
    (self.admission, self.inbox, self.figures) = (admission, inbox, figures)
    let work = Work(loop: loop)
    thread = try DedicatedThread { Self.serve(work.loop, inbox, figures) }
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

  private static func serve(_ loop: ServingLoop, _ inbox: Mailbox<Message>, _ figures: Figures) {
    var drained: [@Sendable () -> Void] = []
    while true {
      for message in inbox.receive(waits: loop.isIdle) {
        switch message {
        case .submit(let submission): loop.submit(submission)
        case .cancel(let id): loop.cancel(id)
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
    return try enter(
      request.prompt, tokens: request.queuedTokens(contextLength: contextLength), begin,
      .answers(request, seed: sampler.seed, onEvent: onEvent), sampler)
  }

  public func embed(_ tokens: [Int32], onResult: @escaping @Sendable (Result<[Float], any Error>) -> Void) throws
    -> ServingTicket
  {
    let begin = ContinuousClock.now
    try check(tokens, reserved: 0)
    return try enter(tokens, tokens: tokens.count, begin, .embedding(onResult: onResult), nil)
  }

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
    _ sampler: Sampler?
  ) throws(ServingRefusal) -> ServingTicket {
    let id = try admission.enter(tokens: tokens) { id in
      inbox.send(
        .submit(
          Submission(id: id, prompt: prompt, queuedTokens: tokens, begin: begin, content: content, sampler: sampler)))
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

extension ServingLoop {
  /// A loop over a loaded model; `tokenizer` nil gives answers without text.
  convenience init(
    _ model: any LanguageModel, tokenizer: Tokenizer?, endTokens: Set<Int32>, on backend: any Backend, pool: PagePool,
    options: ServingOptions
  ) throws {
    let configuration = model.configuration
    let contextLength = try options.engine.contextLength(for: configuration)
    let geometry = configuration.cacheGeometry
    let cache = KeyValueCache(
      geometry: geometry, dtype: options.engine.cacheDType,
      tokenLimit: max(contextLength, options.cacheTokens ?? 4 * contextLength), pool: pool)
    let runner = StepRunner(
      model, cache: cache, contextLength: contextLength, recordedRows: options.recordedRows, on: backend)
    self.init(
      Settings(
        limits: SchedulerLimits(
          rows: options.rowLimit, sequences: options.sequenceLimit, blockTokens: CacheGeometry.blockTokens,
          window: geometry.window, localWindow: geometry.localWindow, localBlocks: geometry.localTableCount),
        contextLength: contextLength, vocabularySize: configuration.vocabularySize, tokenizer: tokenizer,
        endTokens: endTokens, rotaryScaling: configuration.rotaryScaling,
        sharesPrefixes: options.sharesPrefixes),
      blocks: SharedBlocks(cache.blocks, localCount: geometry.localTableCount, localWindow: geometry.localWindow),
      runner: ModelBatchRunner(runner, logitRows: options.logitRows, on: backend))
  }
}
