import AngelCore
public import AngelHCF
public import AngelText
import Glibc
import Synchronization

/// Serves an encoder: a queue with a bound, and one thread that owns the model.
public final class EncoderService: EmbeddingEngine {
  public let tokenizer: Tokenizer
  public let longest: Int
  public let width: Int
  public let vocabularySize: Int
  private let queue: JobQueue
  /// Tokens that may wait.
  private let queueLimit: Int
  private let waitingTokens = Mutex(0)
  private let ticketCount = Atomic<UInt64>(0)
  private let owned: Owned

  /// The embedder, which only the queue's thread touches.
  // SAFETY: handed over in `init`; used from jobs of a queue that has one thread.
  private final class Owned: @unchecked Sendable {
    let embedder: TextEmbedder
    init(_ embedder: TextEmbedder) { self.embedder = embedder }
  }

  /// Whether the vectors of some texts are wanted no more.
  private final class Cancelling: Sendable {
    private let flag = Atomic<Bool>(false)
    var isAsked: Bool { flag.load(ordering: .relaxed) }
    func ask() { flag.store(true, ordering: .relaxed) }
  }

  /// Takes over an embedder, which nobody else may use from now on.
  public init(_ embedder: sending TextEmbedder, queueLimit: Int = 1 << 20) throws {
    tokenizer = embedder.tokenizer
    longest = embedder.engine.longest
    width = embedder.engine.width
    vocabularySize = embedder.engine.model.configuration.vocabularySize
    self.queueLimit = queueLimit
    owned = Owned(embedder)
    queue = try JobQueue(threadCount: 1)
  }

  public func embed(
    _ texts: [[Int32]], onResult: @escaping @Sendable (Result<[[Float]], any Error>) -> Void
  ) throws -> ServingTicket {
    let tokens = texts.reduce(0) { $0 + $1.count }
    try waitingTokens.withLock { waiting throws(ServingRefusal) in
      guard waiting == 0 || waiting + tokens <= queueLimit else {
        throw .queueFull(queuedTokens: waiting, limit: queueLimit, retryAfterSeconds: 1)
      }
      waiting += tokens
    }
    let cancelling = Cancelling()
    let isTaken = queue.add { [self] in
      // Between the steps of a request the engine asks too.
      owned.embedder.engine.isInterrupted = { cancelling.isAsked }
      let result = Result {
        if cancelling.isAsked { throw Interrupted() }
        return try owned.embedder.engine.vectors(of: texts)
      }
      waitingTokens.withLock { $0 -= tokens }
      onResult(result)
    }
    if !isTaken { throw ServingRefusal.draining }
    return ServingTicket(id: ticketCount.add(1, ordering: .relaxed).newValue) { cancelling.ask() }
  }

  public func drain(onEnd: @escaping @Sendable () -> Void) { queue.close(onEnd: onEnd) }
}
