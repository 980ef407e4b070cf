import AngelMemory
import AngelModels
import AngelNN
import AngelTensor

/// One sequence's rows of a step: tokens at consecutive positions, and where its cache lies.
struct SequenceSlice {
  var tokens: [Int32]
  /// The position of the first of them.
  var start: Int
  /// For each table of the cache, byte offsets of the sequence's blocks from the arena, up to that of the last token at least.
  var blocks: [[Int64]]
  /// The position after the prompt's last: rows from there on are of an answer, and see everything (`SparsePrefill`).
  var promptEnd = 0
  /// The number of its adapter (`AdapterBank`); negative: none.
  var adapter: Int32 = -1

  /// The position after the last token.
  var end: Int { start + tokens.count }
}

/// Runs a model over rows of any number of sequences at once.
///
/// By the kernel contract a row's result does not depend on the others, so sequences may be put together at will. Steps of
/// few rows whose logits are all wanted are recorded once for each number of rows, and replayed.
final class StepRunner {
  let model: any LanguageModel
  let cache: KeyValueCache
  private let backend: any Backend
  private let blockLimit: Int
  private let skippedLayers: Range<Int>
  private let adapters: AdapterBank?
  private let sparsePrefill: SparsePrefill?
  private var decodeSteps: DecodeSteps

  /// - Parameters:
  ///   - contextLength: the most tokens of a sequence.
  ///   - recordedRows: the most rows that the recorded steps may have together; at least one step is kept.
  ///   - skippedLayers: left out of recorded steps, whose logits then are guesses.
  ///   - adapters: what slices name adapters of; nil: they name none.
  ///   - sparsePrefill: how prompts choose what they see; nil: they see everything.
  init(
    _ model: any LanguageModel, cache: KeyValueCache, contextLength: Int, recordedRows: Int,
    skippedLayers: Range<Int> = 0..<0, adapters: AdapterBank? = nil, sparsePrefill: SparsePrefill? = nil,
    on backend: any Backend
  ) {
    self.model = model
    self.adapters = adapters
    self.sparsePrefill = sparsePrefill
    self.cache = cache
    self.backend = backend
    self.skippedLayers = skippedLayers
    blockLimit = CacheGeometry.spanCount(contextLength)
    decodeSteps = DecodeSteps(rowLimit: recordedRows)
  }

  /// The final hidden states [R, width] of all slices' rows, laid end to end.
  ///
  /// - Parameter sequenceLength: what rotary scalings that depend on the length go by. Slices whose frequencies differ
  ///   must not share a step.
  func hidden(of slices: [SequenceSlice], sequenceLength: Int) -> Tensor {
    let (tables, width) = (cache.geometry.tableCount, slices.reduce(1) { max($0, $1.blocks[0].count) })
    let entries = (0..<tables).flatMap { table in
      slices.flatMap { $0.blocks[table] + repeatElement(0, count: width - $0.blocks[table].count) }
    }
    func rows(_ values: (Int, SequenceSlice) -> [Int32]) -> Tensor {
      Tensor(slices.enumerated().flatMap(values), on: backend, kind: .workspace)
    }
    let view = cache.view(
      blockTable: Tensor(entries, shape: [tables, slices.count, width], on: backend, kind: .workspace),
      rowSequences: rows { index, slice in slice.tokens.map { _ in Int32(index) } },
      rowPositions: rows { _, slice in (slice.start..<slice.end).map { Int32($0) } },
      choice: hasChoices(slices)
        ? sparsePrefill.map { sparse in
          BlockChoice(
            rows: rows { _, slice in
              let choosing = sparse.positions(of: slice)
              return (slice.start..<slice.end).map { choosing.contains($0) ? 1 : 0 }
            }, share: sparse.share)
        } : nil)
    let tokens = Tensor(slices.flatMap(\.tokens), on: backend)
    assignAdapters(slices)
    return model(tokens, ForwardContext(cache: view, sequenceLength: sequenceLength))
  }

  /// Whether some rows of a step choose what they see: then it is not to be a recorded one.
  func hasChoices(_ slices: [SequenceSlice]) -> Bool {
    guard let sparsePrefill else { return false }
    return slices.contains { !sparsePrefill.positions(of: $0).isEmpty }
  }

  /// The logits [R, vocabulary] after each token of slices of a few each, through a recorded step. Not for models whose
  /// rotary frequencies depend on the length, unless all lengths have those of the shortest.
  ///
  /// The tensor holds these values until the next step.
  func decode(_ slices: [SequenceSlice]) throws -> Tensor {
    // Tensors that found no memory must not be used again: a step that fails is dropped.
    let rows = slices.reduce(0) { $0 + $1.tokens.count }
    let step =
      decodeSteps.take(rows)
      ?? DecodeStep(
        rows: rows, tableCount: cache.geometry.tableCount, blockLimit: blockLimit, skippedLayers: skippedLayers,
        on: backend)
    assignAdapters(slices)
    let logits = try step.logits(after: slices, model) {
      cache.view(blockTable: $0, rowSequences: $1, rowPositions: $2)
    }
    try backend.synchronize()
    decodeSteps.put(step)
    return logits
  }

  private func assignAdapters(_ slices: [SequenceSlice]) {
    adapters?.assign(slices.flatMap { repeatElement($0.adapter, count: $0.tokens.count) })
  }

  /// Forgets recorded steps: the model has more to do than they say.
  func forgetRecorded() { decodeSteps.removeAll() }
}

/// The recorded steps of a runner by their number of rows, the latest last.
private struct DecodeSteps {
  let rowLimit: Int
  private var steps: [DecodeStep] = []

  init(rowLimit: Int) { self.rowLimit = rowLimit }

  mutating func take(_ rows: Int) -> DecodeStep? {
    if let index = steps.firstIndex(where: { $0.rows == rows }) { return steps.remove(at: index) }
    // Before the new step takes memory of its own.
    while !steps.isEmpty, steps.reduce(rows, { $0 + $1.rows }) > rowLimit { steps.removeFirst() }
    return nil
  }

  mutating func put(_ step: DecodeStep) { steps.append(step) }

  mutating func removeAll() { steps = [] }
}
