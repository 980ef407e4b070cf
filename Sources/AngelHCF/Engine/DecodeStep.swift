import AngelMemory
import AngelModels
import AngelNN
import AngelTensor

/// One more token for each of a fixed number of sequences, written down: after the first time, a step is a few small
/// writes and a replay.
///
/// Everything that changes from step to step (tokens, positions, block tables) is read through these tensors; every other
/// address is the same at every step.
final class DecodeStep {
  /// How many sequences.
  let count: Int
  private let backend: any Backend
  private let tableCount: Int
  private let blockLimit: Int
  private let tokens: MutableTensor
  private let positions: MutableTensor
  private let sequences: MutableTensor
  private let blockTable: MutableTensor
  private var logits: Tensor?
  private var recorded: (any RecordedStep)?

  /// Steps of `count` sequences of at most `blockLimit` cache blocks each in each of `tableCount` tables.
  init(count: Int, tableCount: Int, blockLimit: Int, on backend: any Backend) {
    self.count = count
    self.backend = backend
    self.tableCount = tableCount
    self.blockLimit = blockLimit
    tokens = MutableTensor([count], .int32, on: backend)
    positions = MutableTensor([count], .int32, on: backend)
    sequences = MutableTensor([count], .int32, on: backend)
    blockTable = MutableTensor([tableCount, count, blockLimit], .int64, on: backend)
    sequences.write((0..<count).map { Int32($0) })
  }

  /// The logits [count, vocabulary] after slices of one token each.
  func logits(
    after slices: [SequenceSlice], _ model: any LanguageModel, view: (Tensor, Tensor, Tensor) -> PagedCache
  ) throws -> Tensor {
    precondition(slices.count == count, "\(slices.count) sequences in a step of \(count)")
    tokens.write(slices.map { $0.tokens[0] })
    positions.write(slices.map { Int32($0.start) })
    for (index, slice) in slices.enumerated() {
      for (table, blocks) in slice.blocks.enumerated() {
        blockTable.write(blocks, at: (table * count + index) * blockLimit)
      }
    }
    if let recorded, let logits {
      recorded.replay()
      return logits
    }
    recorded = try backend.record {
      let cache = view(blockTable.tensor, sequences.tensor, positions.tensor)
      let hidden = model(tokens.tensor, ForwardContext(cache: cache, sequenceLength: slices[0].end))
      logits = model.logits(of: hidden)
    }
    guard let logits else { preconditionFailure("a step without logits") }
    // A backend that cannot record starts afresh each time.
    if recorded == nil { self.logits = nil }
    return logits
  }
}
