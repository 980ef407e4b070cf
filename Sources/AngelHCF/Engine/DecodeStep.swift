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
  private let token: MutableTensor
  private let position: MutableTensor
  private let blockTable: MutableTensor
  private var logits: Tensor?
  private var recorded: (any RecordedStep)?

  /// Steps over sequences of at most `blockLimit` cache blocks.
  init(blockLimit: Int, on backend: any Backend) {
    self.backend = backend
    token = MutableTensor([1], .int32, on: backend)
    position = MutableTensor([1], .int32, on: backend)
    blockTable = MutableTensor([1, blockLimit], .int64, on: backend)
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
    let sequences = Tensor([0 as Int32], on: backend, kind: .workspace)
    recorded = try backend.record {
      let cache = view(blockTable.tensor, sequences, position.tensor)
      let hidden = model(token.tensor, ForwardContext(cache: cache, sequenceLength: newPosition + 1))
      logits = model.logits(of: hidden)
    }
    // A backend that cannot record starts afresh each time.
    defer { if recorded == nil { logits = nil } }
    rowSequences = sequences
    guard let logits else { return [] }
    return try logits.read()
  }

  /// Kept alive for the replays.
  private var rowSequences: Tensor?
}
