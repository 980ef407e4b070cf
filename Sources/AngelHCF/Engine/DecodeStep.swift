import AngelMemory
import AngelModels
import AngelNN
import AngelTensor

/// A few more tokens, as many for each of a fixed number of sequences, written down: after the first time, a step is a few
/// small writes and a replay.
///
/// Everything that changes from step to step (tokens, positions, block tables) is read through these tensors; every other
/// address is the same at every step.
final class DecodeStep {
  /// How many sequences and rows.
  struct Size: Hashable {
    let sequences: Int
    let rowsOfEach: Int
    var rows: Int { sequences * rowsOfEach }
  }

  let size: Size
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
  init(_ size: Size, tableCount: Int, blockLimit: Int, skippedLayers: Range<Int>, on backend: any Backend) {
    self.size = size
    self.skippedLayers = skippedLayers
    self.backend = backend
    self.tableCount = tableCount
    self.blockLimit = blockLimit
    tokens = MutableTensor([size.rows], .int32, on: backend)
    positions = MutableTensor([size.rows], .int32, on: backend)
    sequences = MutableTensor([size.rows], .int32, on: backend)
    blockTable = MutableTensor([tableCount, size.sequences, blockLimit], .int64, on: backend)
    sequences.write((0..<size.rows).map { Int32($0 / size.rowsOfEach) })
  }

  /// The logits [rows, vocabulary] after each token of the slices.
  func logits(
    after slices: [SequenceSlice], _ model: any LanguageModel, view: (Tensor, Tensor, Tensor) -> PagedCache
  ) throws -> Tensor {
    precondition(slices.count == size.sequences, "\(slices.count) sequences in a step of \(size.sequences)")
    tokens.write(slices.flatMap(\.tokens))
    positions.write(slices.flatMap { ($0.start..<$0.end).map { Int32($0) } })
    for (index, slice) in slices.enumerated() {
      for (table, blocks) in slice.blocks.enumerated() {
        blockTable.write(blocks, at: (table * size.sequences + index) * blockLimit)
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
