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

  /// Plans a checkpoint's model: weights as they will be packed, the whole context's cache, the widest step's activations.
  public init(_ checkpoint: Checkpoint, arithmetic: Arithmetic, options: EngineOptions = .init()) throws {
    let backend = ShapesBackend()
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    contextLength = try options.contextLength(for: model.configuration)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: arithmetic))
    parameterCount = model.parameterCount
    Self.step(model, rows: min(max(1, options.chunkLength), contextLength), contextLength, options.cacheDType, backend)
    let geometry = model.configuration.cacheGeometry
    let blocks = (contextLength + CacheGeometry.blockTokens - 1) / CacheGeometry.blockTokens
    var bytes = backend.peakBytes
    // Loading passes through activations when weights are converted; what counts is what stays.
    bytes[.weights] = backend.currentBytes[.weights]
    bytes[.keyValueCache] = blocks * geometry.blockBytes(options.cacheDType)
    self.bytes = bytes
  }

  /// Bytes of all kinds together.
  public var totalBytes: Int { bytes.values.reduce(0, +) }

  /// One step of `rows` tokens at the end of the context.
  package static func step(
    _ model: any LanguageModel, rows: Int, _ contextLength: Int, _ dtype: DType, _ backend: any Backend
  ) {
    let blocks = (contextLength + CacheGeometry.blockTokens - 1) / CacheGeometry.blockTokens
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
