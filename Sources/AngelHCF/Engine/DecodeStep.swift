import AngelMemory
import AngelModels
import AngelNN
import AngelTensor

/// One more token for each of several sequences, or a few for some, written down: after the first time, a step of as many rows
/// is a few small writes and a replay.
///
/// Everything that changes from step to step (tokens, positions, whose they are, block tables) is read through these tensors;
/// every other address is the same at every step.
final class DecodeStep {
  let rows: Int
  private let backend: any Backend
  private let tableCount: Int
  private let blockLimit: Int
  private let tokens: MutableTensor
  private let positions: MutableTensor
  private let sequences: MutableTensor
  private let blockTable: MutableTensor
  private var logits: Tensor?
  private var recorded: (any RecordedStep)?

  private let skippedLayers: Range<Int>

  /// Steps of sequences of at most `blockLimit` cache blocks each in each of `tableCount` tables.
  init(rows: Int, tableCount: Int, blockLimit: Int, skippedLayers: Range<Int>, on backend: any Backend) {
    self.rows = rows
    self.skippedLayers = skippedLayers
    self.backend = backend
    self.tableCount = tableCount
    self.blockLimit = blockLimit
    tokens = MutableTensor([rows], .int32, on: backend)
    positions = MutableTensor([rows], .int32, on: backend)
    sequences = MutableTensor([rows], .int32, on: backend)
    blockTable = MutableTensor([tableCount, rows, blockLimit], .int64, on: backend)
  }

  /// The logits [rows, vocabulary] after each token of the slices.
  func logits(
    after slices: [SequenceSlice], _ model: any LanguageModel, view: (Tensor, Tensor, Tensor) -> PagedCache
  ) throws -> Tensor {
    let count = slices.reduce(0) { $0 + $1.tokens.count }
    precondition(count == rows, "\(count) tokens in a step of \(rows)")
    tokens.write(slices.flatMap(\.tokens))
    sequences.write(slices.enumerated().flatMap { repeatElement(Int32($0), count: $1.tokens.count) })
    positions.write(slices.flatMap { ($0.start..<$0.end).map { Int32($0) } })
    for (index, slice) in slices.enumerated() {
      for (table, blocks) in slice.blocks.enumerated() {
        blockTable.write(blocks, at: (table * rows + index) * blockLimit)
      }
    }
    if let recorded, let logits {
      recorded.replay()
      return logits
    }
    recorded = try backend.record {
      let cache = view(blockTable.tensor, sequences.tensor, positions.tensor)
      var context = ForwardContext(cache: cache, sequenceLength: slices[0].end)
      context.skippedLayers = skippedLayers
      let hidden = model(tokens.tensor, context)
      logits = model.logits(of: hidden)
    }
    guard let logits else { preconditionFailure("a step without logits") }
    // A backend that cannot record starts afresh each time.
    if recorded == nil { self.logits = nil }
    return logits
  }
}
