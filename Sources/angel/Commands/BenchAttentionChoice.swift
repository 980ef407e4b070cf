import AngelCore
import AngelTensor
import CAngelKernels

/// Rows that choose the blocks they attend to. Choosing takes the time it takes; what is attended to is a share of the
/// blocks drawn by chance, since made-up keys say nothing about how many real ones are chosen.
final class BenchAttentionChoice {
  private let rows: Int
  private let choices: UnsafeMutablePointer<Int32>
  private let bounds: UnsafeMutablePointer<Float>
  private let chosen: UnsafeMutablePointer<UInt64>
  /// What is attended to instead of what was chosen.
  let kept: UnsafeMutablePointer<UInt64>

  /// - Parameters:
  ///   - rows: of one sequence of `length` tokens.
  ///   - share: of the blocks that a row sees; neighbours have most of them in common.
  init(_ rows: [BenchAttentionRow], _ geometry: CacheGeometry, length: Int, share: Double) {
    self.rows = rows.count
    let blocks = CacheGeometry.spanCount(length)
    let heads = geometry.keyValueHeadCount
    choices = .allocate(capacity: rows.count)
    choices.initialize(repeating: 1, count: rows.count)
    let spans = Int(angel_bound_spans(Int64(blocks)))
    bounds = .allocate(capacity: heads * spans * 2 * geometry.headSize * 16)
    let width = 1 + Int(angel_choice_words(Int64(blocks)))
    chosen = .allocate(capacity: heads * rows.count * width)
    kept = .allocate(capacity: heads * rows.count * width)
    kept.initialize(repeating: 0, count: heads * rows.count * width)
    let generator = PhiloxGenerator(seed: 1)
    let limit = UInt32(share * Double(UInt32.max))
    for head in 0..<heads {
      for (index, row) in rows.enumerated() {
        let words = kept + (head * rows.count + index) * width
        let own = row.position / CacheGeometry.blockTokens
        for block in 0...own {
          // A block is kept, or not, for sixteen rows in a row.
          let turn = (index + block * 7) / 16
          let number = generator.block(at: UInt64((head << 20 | turn) << 20 | block))[0]
          guard block == 0 || block > own - Int(ANGEL_LOCAL_BLOCKS) || number < limit else { continue }
          words[0] += 1
          words[1 + block / 64] |= 1 << (block % 64)
        }
      }
    }
  }

  deinit {
    choices.deallocate()
    bounds.deallocate()
    chosen.deallocate()
    kept.deallocate()
  }

  /// Launches what comes before attention; nil where there are no kernels.
  func makeRun(_ sizes: BenchShape, _ dtype: DType, _ maker: BenchKernelMaker)
    -> ((_ queries: UnsafePointer<Float>, _ cache: angel_paged_cache) -> Void)?
  {
    let configuration = sizes.configuration
    let (dtypes, elements) = (KernelDTypes(.float32, dtype), rows * configuration.headCount * configuration.headSize)
    guard
      let bound = maker.launcher(
        ANGEL_FAMILY_key_bounds, dtypes, Work(bytes: 1 << 20), angel_key_bounds_arguments.self),
      let choose = maker.launcher(
        ANGEL_FAMILY_choose_blocks, dtypes, Work(bytes: 1 << 20, multiplyAdds: 16 * elements),
        angel_choose_blocks_arguments.self)
    else { return nil }
    return { [self] queries, cache in
      bound(
        angel_key_bounds_arguments(cache: cache, choices: choices, bounds: bounds, rows: Int64(rows), sequences: 1))
      choose(
        angel_choose_blocks_arguments(
          queries: queries, cache: cache, choices: choices, bounds: bounds, kept: chosen, rows: Int64(rows),
          heads: Int64(configuration.headCount), scale: 0.125, softcap: 0, share: 0.9))
    }
  }
}
