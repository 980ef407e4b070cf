import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor

/// The memory an encoder takes, found by running its longest step without arithmetic.
struct EncoderPlan {
  /// Bytes by kind.
  let bytes: [MemoryKind: Int]

  init(_ checkpoint: Checkpoint, _ pooling: SentencePooling, arithmetic: Arithmetic) throws {
    let backend = ShapesBackend()
    let entry = try ModelCatalog.textEncoder(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: arithmetic))
    let engine = EncoderEngine(model, pooling: pooling, on: backend)
    let segments = Segments(lengths: [max(engine.longest, EncoderEngine.rowLimit)], on: backend)
    let tokens = Tensor([Int32](repeating: 0, count: segments.rowCount), on: backend)
    _ = engine.pooled(model(tokens, segments), segments)
    var bytes = backend.peakBytes
    bytes[.weights] = backend.currentBytes[.weights]
    self.bytes = bytes
  }

  /// Throws when the plan does not fit `budget`; a page holds one kind of memory only, so what counts is whole pages.
  func check(budget: Int) throws(EngineError) {
    let needed = bytes.values.reduce(0) { $0 + ($1 + Page.byteCount - 1) / Page.byteCount } * Page.byteCount
    guard needed > budget else { return }
    throw .encoderMemoryExceeded(needed: needed, weights: bytes[.weights] ?? 0, budget: budget)
  }
}
