import AngelMemory
import AngelModels
import AngelNN
import AngelTensor

/// One decode step written down: after the first token, each further one is three small writes and a replay.
///
/// Everything that changes from token to token (the token, its position, the block table) is read through these tensors;
/// every other address is the same at every step.
final class DecodeStep {
  private let backend: any Backend
  // Made with the first token: an engine that never decodes takes nothing.
  private lazy var token = MutableTensor([1], .int32, on: backend)
  private lazy var position = MutableTensor([1], .int32, on: backend)
  private lazy var sequence = MutableTensor([1], .int32, on: backend)
  private lazy var blockTable = MutableTensor([1, blockLimit], .int64, on: backend)
  private let blockLimit: Int
  private var logits: Tensor?
  private var recorded: (any RecordedStep)?

  /// Steps over sequences of at most `blockLimit` cache blocks.
  init(blockLimit: Int, on backend: any Backend) {
    self.backend = backend
    self.blockLimit = blockLimit
  }

  /// The logits after one more token of a sequence whose blocks lie at `offsets`.
  func logits(
    after newToken: Int32, at newPosition: Int, blocks offsets: [Int64], _ model: any LanguageModel,
    view: (Tensor, Tensor, Tensor) -> PagedCache
  ) throws -> [Float] {
    token.write([newToken])
    position.write([Int32(newPosition)])
    blockTable.write(offsets)
    if let recorded, let logits {
      recorded.replay()
      return try logits.read()
    }
    recorded = try backend.record {
      let cache = view(blockTable.tensor, sequence.tensor, position.tensor)
      let hidden = model(token.tensor, ForwardContext(cache: cache, sequenceLength: newPosition + 1))
      logits = model.logits(of: hidden)
    }
    // A backend that cannot record starts afresh each time.
    defer { if recorded == nil { logits = nil } }
    guard let logits else { return [] }
    return try logits.read()
  }
}
