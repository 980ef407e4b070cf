import AngelCore
import CAngelKernels

/// Which rows of a step attend only to the blocks of their sequence in which they may find most (choose_blocks.h).
///
/// It needs no training: each row goes by its own queries (arXiv:2406.10774), and keeps as many blocks as a share asks for
/// (arXiv:2502.02770).
public struct BlockChoice: Sendable {
  /// Positions of a sequence that choosing rows may have.
  public static let positionLimit = Int(ANGEL_CHOICE_LIMIT)
  /// [rows] int32: 1 where a row chooses, 0 where it attends to all it sees.
  public let rows: Tensor
  /// How much of what a row may find the blocks it keeps have together; 1: it keeps all.
  public let share: Float

  public init(rows: Tensor, share: Float) {
    precondition(rows.dtype == .int32 && share > 0 && share <= 1, "choice: \(rows.specification), share \(share)")
    self.rows = rows
    self.share = share
  }

  /// The blocks that rows with `queries` [R, heads, headSize] keep in a layer of `cache`: [kvHeads, R, 1 + words] int64, how
  /// many there are, then a bit for each.
  func keptBlocks(_ queries: Tensor, in cache: PagedCache, layer: Int, shape: AttentionShape) -> Tensor {
    let (backend, geometry) = (queries.backend, cache.geometry)
    let (sequences, blocks) = (cache.blockTable.shape[1], cache.blockTable.shape[2])
    let (heads, size) = (geometry.keyValueHeadCount, geometry.headSize)
    let spans = Int(angel_bound_spans(Int64(blocks)))
    let bounds = Tensor(
      uninitialized: TensorSpecification([sequences, heads, spans, 2, size * 16], .float32), on: backend,
      kind: .workspace)
    let dtypes = KernelDTypes(.float32, cache.dtype)
    let view = cache.view(layer: layer)
    backend.launch(
      ANGEL_FAMILY_key_bounds, dtypes,
      angel_key_bounds_arguments(
        cache: view, choices: rows.int32s, bounds: bounds.mutableFloats, rows: Int64(rows.shape[0]),
        sequences: Int64(sequences)),
      Work(bytes: bounds.specification.byteCount), keeping: cache)
    let words = Int(angel_choice_words(Int64(blocks)))
    let kept = Tensor(
      uninitialized: TensorSpecification([heads, rows.shape[0], 1 + words], .int64), on: backend, kind: .workspace)
    backend.launch(
      ANGEL_FAMILY_choose_blocks, dtypes,
      angel_choose_blocks_arguments(
        queries: queries.floats, cache: view, choices: rows.int32s, bounds: bounds.floats,
        kept: kept.address.assumingMemoryBound(to: UInt64.self), rows: Int64(rows.shape[0]),
        heads: Int64(queries.shape[1]), scale: shape.scale, softcap: shape.softCap, share: share),
      Work(bytes: queries.specification.byteCount, multiplyAdds: 2 * queries.shape.elementCount * blocks),
      keeping: queries, bounds)
    return kept
  }
}
