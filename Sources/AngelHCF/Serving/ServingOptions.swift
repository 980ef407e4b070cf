/// How an engine for many requests is set up.
public struct ServingOptions: Sendable {
  /// Context, cache type, and the most rows of a step (`chunkLength`).
  public var engine = EngineOptions()
  /// The most answers that are made at once.
  public var sequenceLimit = 32 { didSet { sequenceLimit = max(1, sequenceLimit) } }
  /// Tokens that the cache holds, of all requests together; nil: four contexts, or what the memory budget has room for.
  public var cacheTokens: Int?
  /// The most tokens that requests in the queue may need together, prompts and answers; beyond it new ones are refused.
  public var queuedTokenLimit = 1 << 18
  /// Whether requests that begin alike share the keys and values of what they have in common.
  public var sharesPrefixes = true
  /// Whether the next tokens of answers are guessed from what texts repeat, where that makes them come sooner (`Speculation`).
  public var speculates = true
  /// The most adapters beside the model at once, and the bytes of memory that are planned for them.
  public var adapterLimit = 0
  public var adapterBytes = 0

  public init() {}

  /// Rows of a step: one for each answer at least.
  var rowLimit: Int { max(engine.chunkLength, sequenceLimit, 1) }
  /// The most rows whose logits exist at a time.
  var logitRows: Int { max(sequenceLimit, 32) }
  /// The most rows that recorded decode steps of different sizes have together.
  var recordedRows: Int { max(2 * sequenceLimit, speculates ? SpeculationDepth.recordedRows : 0) }
}
