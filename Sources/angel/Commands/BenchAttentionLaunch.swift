import AngelCore
import AngelModels
import AngelTensor
import CAngelKernels

/// Attention of one layer: which rows there are, and how their keys and values lie.
struct BenchAttentionLaunch {
  var rows: [BenchAttentionRow]
  /// Tokens of each sequence.
  var length: Int
  var dtype: DType
  /// A row sees so many positions; 0: all.
  var window = 0
  /// Parts share the positions of each row; nil: where the engine would have them.
  var hasSplits: Bool?
  /// Each row chooses blocks and attends to such a share of those it sees; nil: to all.
  var keptShare: Double?
  /// Each row is a launch of its own.
  var isRowByRow = false
  var placement = BenchCacheTables.Placement()

  /// As the engine runs it.
  init(_ rows: [BenchAttentionRow], of length: Int, _ dtype: DType) {
    self.rows = rows
    self.length = length
    self.dtype = dtype
  }

  /// The same with something changed.
  func with(_ change: (inout Self) -> Void) -> Self {
    var result = self
    change(&result)
    return result
  }

  /// A function that runs it, with keys and values from memory; nil where there is no kernel or no room.
  func makeRun(_ shape: BenchShape, _ maker: BenchKernelMaker) -> (() -> Void)? {
    let sizes = shape.configuration
    let geometry = sizes.cacheGeometry
    let launched = isRowByRow ? 1 : rows.count
    let elements = launched * sizes.headCount * sizes.headSize
    // Steps of single tokens are recorded, and launches of a recorded step are cut four times as fine.
    let fineness = rows.allSatisfy { $0.position == length - 1 } ? 4 : 1
    guard
      let tables = BenchCacheTables(geometry, dtype, in: maker.source, rows: rows, length: length, placement),
      let launch = maker.launcher(
        ANGEL_FAMILY_paged_attention, KernelDTypes(.float32, dtype),
        Work(bytes: 8 * elements, multiplyAdds: fineness * elements * length), angel_paged_attention_arguments.self)
    else { return nil }
    let (queries, output) = (maker.floats(elements), maker.output(elements))
    let workspace =
      hasSplits ?? PagedCache.sharesPositions(rows: launched, geometry, on: maker.backend)
      ? BenchAttentionWorkspace(rows: launched, heads: sizes.headCount, geometry, length: length) : nil
    let choice = keptShare.map { BenchAttentionChoice(rows, geometry, length: length, share: $0) }
    let choose = choice?.makeRun(shape, dtype, maker)
    func run(_ row: Int?) {
      let cache = tables.next(row: row)
      choose?(queries, cache)
      launch(
        angel_paged_attention_arguments(
          queries: queries, output: output, cache: cache, rows: Int64(launched),
          heads: Int64(sizes.headCount), scale: 0.125, softcap: 0, window: Int32(window),
          partials: workspace?.partials, tickets: workspace?.tickets, kept: choice.map { UnsafePointer($0.kept) }))
    }
    guard isRowByRow else { return { run(nil) } }
    return { [count = rows.count] in for row in 0..<count { run(row) } }
  }
}
