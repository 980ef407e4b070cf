public import AngelCheckpoint
package import AngelCore
public import AngelMemory
package import AngelModels
public import AngelNN
package import AngelTensor

/// The memory a model takes to serve one stream, found by running it without arithmetic.
public struct ModelPlan: Sendable {
  /// Bytes by kind.
  public let bytes: [MemoryKind: Int]
  /// The context the plan is for.
  public let contextLength: Int
  public let parameterCount: Int
  /// Bytes by the type of the weights in the files, most first.
  private let weightTypes: [ModelCard.TypeBytes]
  private let cacheDType: DType
  private let cacheBytesPerBlock: Int
  private let chunkLength: Int

  /// Plans a checkpoint's model: weights as they will be packed, the whole context's cache, the widest step's activations.
  public init(_ checkpoint: Checkpoint, arithmetic: Arithmetic, options: EngineOptions = .init()) throws {
    let backend = ShapesBackend()
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    contextLength = try options.contextLength(for: model.configuration)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: arithmetic))
    parameterCount = model.parameterCount
    weightTypes = checkpoint.card.byteCounts
    cacheDType = options.cacheDType
    chunkLength = max(1, min(options.chunkLength, contextLength))
    Self.step(model, rows: chunkLength, contextLength, options.cacheDType, backend)
    cacheBytesPerBlock = model.configuration.cacheGeometry.blockBytes(options.cacheDType)
    var bytes = backend.peakBytes
    // Loading passes through activations when weights are converted; what counts is what stays.
    bytes[.weights] = backend.currentBytes[.weights]
    bytes[.keyValueCache] = Self.blocks(contextLength) * cacheBytesPerBlock
    self.bytes = bytes
  }

  /// Bytes of all kinds together.
  public var totalBytes: Int { bytes.values.reduce(0, +) }

  /// Bytes of the cache for one token.
  public var cacheBytesPerToken: Int { cacheBytesPerBlock / CacheGeometry.blockTokens }

  /// The plan as a table against a budget in bytes.
  public func memoryPlan(budget: Int) -> MemoryPlan {
    var plan = MemoryPlan(budget: budget)
    let types = weightTypes.prefix(3).map(\.type).joined(separator: ", ")
    for kind in MemoryKind.allCases {
      guard let byteCount = bytes[kind], byteCount > 0 else { continue }
      let detail =
        switch kind {
        case .weights: "\(TextFormat.parameters(parameterCount)) parameters, \(types)"
        case .keyValueCache:
          "\(TextFormat.count(contextLength)) tokens of \(TextFormat.bytes(cacheBytesPerToken)), \(cacheDType.name)"
        case .activations: "a step of \(chunkLength) tokens"
        default: ""
        }
      plan.add(kind, detail, byteCount: byteCount)
    }
    return plan
  }

  /// Throws `EngineError.memoryExceeded` with the longest context that would fit, when the plan does not fit `budget`.
  ///
  /// A page holds one kind of memory only, so what counts is whole pages.
  public func check(budget: Int) throws(EngineError) {
    func pages(_ byteCount: Int) -> Int { (byteCount + Page.byteCount - 1) / Page.byteCount }
    let needed = bytes.values.reduce(0) { $0 + pages($1) } * Page.byteCount
    guard needed > budget else { return }
    let cache = bytes[.keyValueCache] ?? 0
    let room = budget - (needed - pages(cache) * Page.byteCount)
    let tokens = room / Page.byteCount * Page.byteCount / max(1, cacheBytesPerBlock) * CacheGeometry.blockTokens
    throw .memoryExceeded(
      needed: needed, weights: bytes[.weights] ?? 0, cache: cache, contextLength: contextLength, budget: budget,
      fittingContext: tokens >= CacheGeometry.blockTokens ? tokens : nil)
  }

  private static func blocks(_ tokens: Int) -> Int {
    (tokens + CacheGeometry.blockTokens - 1) / CacheGeometry.blockTokens
  }

  /// One step of `rows` tokens at the end of the context.
  package static func step(
    _ model: any LanguageModel, rows: Int, _ contextLength: Int, _ dtype: DType, _ backend: any Backend
  ) {
    let blocks = blocks(contextLength)
    func integers(_ count: Int) -> Tensor { Tensor([Int32](repeating: 0, count: count), on: backend, kind: .workspace) }
    let cache = PagedCache(
      arena: CacheArena(base: Allocation.nowhere(byteCount: 0, kind: .keyValueCache).address),
      blockTable: Tensor([Int64](repeating: 0, count: blocks), shape: [1, blocks], on: backend, kind: .workspace),
      rowSequences: integers(rows), rowPositions: integers(rows), geometry: model.configuration.cacheGeometry,
      dtype: dtype)
    let tokens = Tensor([Int32](repeating: 0, count: rows), on: backend)
    let hidden = model(tokens, ForwardContext(cache: cache, sequenceLength: contextLength))
    _ = model.logits(of: hidden.prefix((rows - 1)..<rows))
  }
}
