public import AngelCheckpoint
package import AngelCore
public import AngelMemory
public import AngelModels
public import AngelNN
package import AngelTensor

/// The memory a model takes to serve one stream, or many requests at once, found by running it without arithmetic.
public struct ModelPlan: Sendable {
  /// Bytes by kind.
  public private(set) var bytes: [MemoryKind: Int]
  /// The context the plan is for.
  public let contextLength: Int
  /// Tokens the cache holds, of all sequences together.
  public private(set) var cacheTokens: Int
  public let parameterCount: Int
  /// Bytes by the type of the weights in the files, most first.
  private let weightTypes: [ModelCard.TypeBytes]
  private let cacheDType: DType
  private let cacheBytesPerSpan: Int
  /// What a step is, in words.
  private let step: String

  /// Plans for one stream: weights as they will be packed, the whole context's cache, the widest step's activations.
  ///
  /// - Parameter adapter: stands beside the weights; nil: nothing does.
  public init(
    _ checkpoint: Checkpoint, arithmetic: Arithmetic, adapter: PEFTFolder? = nil, options: EngineOptions = .init()
  ) throws {
    let outline = try Outline(checkpoint, arithmetic, adapter, options)
    let rows = max(1, min(options.chunkLength, outline.contextLength))
    Self.step(
      outline.model, rows: rows, outline.contextLength, options.cacheDType, outline.peers, outline.backend,
      options.sparsePrefill)
    // One more where guesses come from the model without some layers.
    let recordedRows = SpeculationDepth.recordedRows + 1
    self.init(
      outline, checkpoint, options, cacheTokens: outline.contextLength,
      step: "a step of \(rows) tokens, recorded ones of \(recordedRows)")
    try addSteps(outline, options, recorded: recordedRows, widest: SpeculationDepth.limit + 1)
  }

  /// Plans for many requests: the cache of all, the widest step's activations, and what recorded steps keep.
  ///
  /// - Parameters:
  ///   - budget: bytes; where the options do not say how many tokens the cache holds, it is what the budget has
  ///     room for, between one context and four.
  public init(
    _ checkpoint: Checkpoint, arithmetic: Arithmetic, serving options: ServingOptions, budget: Int
  ) throws {
    var outline = try Outline(checkpoint, arithmetic, nil, options.engine)
    outline.addAdapters(options)
    let contextLength = outline.contextLength
    Self.step(
      outline.model, rows: options.rowLimit, sequences: options.sequenceLimit, logitRows: options.logitRows,
      contextLength,
      options.engine.cacheDType, outline.peers, outline.backend, options.engine.sparsePrefill)
    self.init(
      outline, checkpoint, options.engine, cacheTokens: max(contextLength, options.cacheTokens ?? contextLength),
      step: "a step of \(options.rowLimit) tokens, recorded ones of \(options.recordedRows)")
    try addSteps(outline, options.engine, recorded: options.recordedRows, widest: options.sequenceLimit)
    bytes[.weights, default: 0] += options.adapterBytes
    guard options.cacheTokens == nil else { return }
    let tokens = min(4 * contextLength, tokens(fitting: budget))
    if tokens > contextLength { setCache(tokens) }
  }

  /// A model that has been loaded without arithmetic.
  private struct Outline {
    let backend = ShapesBackend()
    private(set) var model: any LanguageModel
    let contextLength: Int
    let peers: PlannedPeers?

    init(
      _ checkpoint: Checkpoint, _ arithmetic: Arithmetic, _ adapter: PEFTFolder?, _ options: EngineOptions
    ) throws {
      let entry = try ModelCatalog.languageModel(for: checkpoint)
      var model = try entry.outline(checkpoint)
      contextLength = try options.contextLength(for: model.configuration)
      peers = options.peers.map { PlannedPeers(place: $0.place, count: $0.count) }
      try entry.load(
        &model, checkpoint,
        LoadingOptions(backend: backend, arithmetic: arithmetic, adapter: adapter, peers: peers))
      self.model = model
    }

    /// Has every layer that can have adapters run them.
    mutating func addAdapters(_ options: ServingOptions) {
      guard options.adapterLimit > 0 else { return }
      AdapterBank(beside: &model, limit: options.adapterLimit, rowLimit: options.rowLimit, on: backend)
        .useEverywhere()
    }
  }

  /// Counts what the widest step, which has been taken, held at most, and what steps that are recorded keep beside it.
  private mutating func addSteps(
    _ outline: Outline, _ options: EngineOptions, recorded rows: Int, widest: Int
  ) throws {
    let whole = outline.backend.peakBytes
    let recorded = try RecordedBytes(rows: rows, widest: widest) { rows in
      _ = try outline.backend.record {
        Self.step(
          outline.model, rows: rows, sequences: rows, logitRows: rows, outline.contextLength, options.cacheDType,
          outline.peers, outline.backend)
      }
      return outline.backend.recordedBytes
    }
    for kind in [MemoryKind.activations, .workspace] {
      bytes[kind] = whole[kind, default: 0] + recorded.most(kind)
    }
  }

  private init(
    _ outline: Outline, _ checkpoint: Checkpoint, _ options: EngineOptions, cacheTokens: Int, step: String
  ) {
    contextLength = outline.contextLength
    self.cacheTokens = cacheTokens
    parameterCount = outline.model.parameterCount
    weightTypes = checkpoint.card.byteCounts
    cacheDType = options.cacheDType
    self.step = step
    cacheBytesPerSpan = outline.model.configuration.cacheGeometry.part(of: outline.peers?.count ?? 1).spanBytes(
      options.cacheDType)
    bytes = outline.backend.peakBytes
    // Loading passes through activations when weights are converted; what counts is what stays.
    bytes[.weights] = outline.backend.currentBytes[.weights]
    setCache(cacheTokens)
  }

  private mutating func setCache(_ tokens: Int) {
    cacheTokens = tokens
    bytes[.keyValueCache] = CacheGeometry.spanCount(tokens) * cacheBytesPerSpan
  }

  /// Bytes of all kinds together.
  public var totalBytes: Int { bytes.values.reduce(0, +) }

  /// Bytes of the cache for one token.
  public var cacheBytesPerToken: Int { cacheBytesPerSpan / CacheGeometry.blockTokens }

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
          "\(TextFormat.count(cacheTokens)) tokens of \(TextFormat.bytes(cacheBytesPerToken)), \(cacheDType.name)"
        case .activations: step
        default: ""
        }
      plan.add(kind, detail, byteCount: byteCount)
    }
    return plan
  }

  /// Throws `EngineError.memoryExceeded` with the longest context that would fit, or `cacheExceeded` with the largest
  /// cache, when the plan does not fit `budget`.
  public func check(budget: Int) throws(EngineError) {
    let needed = Self.pages(bytes.values) * Page.byteCount
    guard needed > budget else { return }
    let tokens = tokens(fitting: budget)
    let fitting = tokens >= CacheGeometry.blockTokens ? tokens : nil
    let (weights, cache) = (bytes[.weights] ?? 0, bytes[.keyValueCache] ?? 0)
    guard cacheTokens > contextLength, tokens >= contextLength else {
      throw .memoryExceeded(
        needed: needed, weights: weights, cache: cache, contextLength: cacheTokens, budget: budget,
        fittingContext: fitting)
    }
    throw .cacheExceeded(
      needed: needed, weights: weights, cache: cache, cacheTokens: cacheTokens, budget: budget, fitting: tokens)
  }

  /// Tokens whose cache fits beside everything else; a page holds one kind of memory only, so what counts is whole
  /// pages.
  private func tokens(fitting budget: Int) -> Int {
    let others = Self.pages(bytes.filter { $0.key != .keyValueCache }.values)
    let room = budget / Page.byteCount - others
    return room > 0 ? room * Page.byteCount / max(1, cacheBytesPerSpan) * CacheGeometry.blockTokens : 0
  }

  private static func pages(_ byteCounts: some Sequence<Int>) -> Int {
    byteCounts.reduce(0) { $0 + ($1 + Page.byteCount - 1) / Page.byteCount }
  }

  /// One step of `rows` tokens of `sequences` at the end of their context, with the logits of `logitRows` of them.
  package static func step(
    _ model: any LanguageModel, rows: Int, sequences: Int = 1, logitRows: Int = 1, _ contextLength: Int, _ dtype: DType,
    _ peers: (any LayerPeers)?, _ backend: any Backend, _ sparsePrefill: SparsePrefill? = nil
  ) {
    let blocks = CacheGeometry.spanCount(contextLength)
    func integers(_ count: Int) -> Tensor { Tensor([Int32](repeating: 0, count: count), on: backend, kind: .workspace) }
    let geometry = model.configuration.cacheGeometry.part(of: peers?.count ?? 1)
    let cache = PagedCache(
      arena: CacheArena(base: Allocation.nowhere(byteCount: 0, kind: .keyValueCache).address),
      blockTable: Tensor(
        [Int64](repeating: 0, count: geometry.tableCount * sequences * blocks),
        shape: [geometry.tableCount, sequences, blocks], on: backend, kind: .workspace),
      rowSequences: integers(rows), rowPositions: integers(rows), geometry: geometry, dtype: dtype,
      choice: sparsePrefill.map { BlockChoice(rows: integers(rows), share: $0.share) })
    let tokens = Tensor([Int32](repeating: 0, count: rows), on: backend)
    let own = model(tokens, ForwardContext(cache: cache, sequenceLength: contextLength))
    let hidden = peers?.gather(own) ?? own
    // One row is looked at where it lies, several are gathered.
    let wanted = logitRows > 1 ? hidden.rows(integers(min(logitRows, rows))) : hidden.prefix((rows - 1)..<rows)
    _ = model.logits(of: wanted)
  }
}

/// The most that all recorded steps of a runner keep: so many bytes a row, and so many a step whatever its rows.
private struct RecordedBytes {
  private let single: [MemoryKind: Int]
  private let widest: [MemoryKind: Int]
  private let widestRows: Int
  private let rows: Int

  /// - Parameters:
  ///   - rows: the most of all steps together.
  ///   - widestRows: the most of one.
  ///   - record: records one step of so many rows and gives the bytes of all recorded until then.
  init(rows: Int, widest widestRows: Int, record: (Int) throws -> [MemoryKind: Int]) rethrows {
    self.rows = rows
    self.widestRows = widestRows
    let single = try record(1)
    self.single = single
    widest = try record(widestRows).merging(single) { $0 - $1 }
  }

  /// Steps of different sizes that have at most `rows` rows together.
  private var steps: Int {
    var count = 0
    while (count + 1) * (count + 2) / 2 <= rows { count += 1 }
    return count
  }

  func most(_ kind: MemoryKind) -> Int {
    let (single, widest) = (single[kind, default: 0], widest[kind, default: 0])
    let perRow = widestRows > 1 ? max(0, (widest - single + widestRows - 2) / (widestRows - 1)) : single
    return perRow * rows + max(0, single - perRow, widest - perRow * widestRows) * steps
  }
}
