public import AngelCore
public import AngelText

/// What a server needs from an engine: admission, events, cancelling, and figures. The methods may be called on any
/// thread and do not block on the model's work.
public protocol ServingEngine: AnyObject, Sendable {
  /// The most tokens of prompt and answer together.
  var contextLength: Int { get }
  var vocabularySize: Int { get }
  var tokenizer: Tokenizer { get }
  /// Nil when the model's files bring none.
  var chatTemplate: ChatTemplate? { get }

  /// Constraints for answers in this model's tokens.
  var constraints: ConstraintCompiler { get }

  /// Takes a request into the queue, or refuses it at once.
  ///
  /// - Parameter onEvent: called on the engine's own thread for every event, in order; it must return quickly.
  /// - Throws: `ServingRefusal`, or `EngineError` or `SamplingError` where the request cannot be served at all; then
  ///   `onEvent` is never called.
  func submit(_ request: ServingRequest, onEvent: @escaping @Sendable (ServingEvent) -> Void) throws -> ServingTicket

  /// The final hidden state of a text's last token, divided by its length: a sentence vector of `width` numbers.
  func embed(_ tokens: [Int32], onResult: @escaping @Sendable (Result<[Float], any Error>) -> Void) throws
    -> ServingTicket

  /// The state of queue and cache at the end of the last step.
  var statistics: ServingStatistics { get }

  /// Refuses new requests from now on and calls back when those in hand have ended.
  func drain(onEnd: @escaping @Sendable () -> Void)
}

/// A request in the engine's hands.
public struct ServingTicket: Sendable {
  /// Counts up from 1 in an engine.
  public let id: UInt64
  private let cancelling: @Sendable () -> Void

  public init(id: UInt64, cancelling: @escaping @Sendable () -> Void) {
    self.id = id
    self.cancelling = cancelling
  }

  /// Ends the request where it stands and frees its cache: its last event is `failed(Interrupted())` unless it had
  /// ended.
  public func cancel() { cancelling() }
}

/// Why a request is not taken.
public enum ServingRefusal: DescribedError, Equatable {
  /// The queue's tokens are beyond its limit: try again after so many seconds.
  case queueFull(queuedTokens: Int, limit: Int, retryAfterSeconds: Int)
  case draining

  public var description: String {
    switch self {
    case .queueFull(let tokens, let limit, let seconds):
      "the queue holds \(tokens) tokens, its limit is \(limit): try again in \(seconds) s"
    case .draining: "the server is shutting down: try another one"
    }
  }
}

/// An engine's figures, those of vLLM's metrics among them.
public struct ServingStatistics: Sendable, Equatable {
  public var running = 0
  public var waiting = 0
  /// Blocks of the cache in use by requests, kept for prefixes only, and in all.
  public var blocksInUse = 0
  public var blocksKept = 0
  public var blockLimit = 0
  /// Tokens whose keys and values all blocks hold together, windows aside.
  public var cacheTokens = 0
  /// Totals since the start.
  public var promptTokens = 0
  public var generatedTokens = 0
  public var prefixQueriedTokens = 0
  public var prefixHitTokens = 0
  public var preemptions = 0
  public var finishedByStop = 0
  public var finishedByLength = 0
  public var cancelled = 0
  /// Seconds the engine's thread spent on the model, and on everything else while it had work.
  public var modelSeconds = 0.0
  public var schedulingSeconds = 0.0
  /// CPU time of the latter: what it would take were the thread never to lose its core.
  public var schedulingCPUSeconds = 0.0
  /// Tokens that were guessed, and those of them that were what was drawn.
  public var guessedTokens = 0
  public var acceptedTokens = 0

  public init() {}
}
