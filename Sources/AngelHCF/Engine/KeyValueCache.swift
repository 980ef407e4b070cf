import AngelCore
import AngelMemory
import AngelTensor

/// Keys and values in blocks of 16 tokens, carved from the page pool and reached through block tables.
final class KeyValueCache {
  let geometry: CacheGeometry
  let dtype: DType
  let blocks: BlockPool

  /// A cache of at most `tokenLimit` tokens.
  init(geometry: CacheGeometry, dtype: DType, tokenLimit: Int, pool: PagePool) {
    self.geometry = geometry
    self.dtype = dtype
    blocks = BlockPool(
      pool: pool, blockByteCount: geometry.blockBytes(dtype),
      limit: CacheGeometry.spanCount(tokenLimit) * geometry.tableCount)
  }

  /// Makes room for `count` tokens in all.
  func reserve(_ count: Int, in sequence: CachedSequence) throws(MemoryError) {
    let wanted = CacheGeometry.spanCount(count) * geometry.tableCount
    guard wanted > sequence.blocks.count else { return }
    sequence.blocks += try blocks.allocate(count: wanted - sequence.blocks.count)
  }

  /// Gives back the blocks beyond the first `count` tokens.
  func truncate(_ sequence: CachedSequence, to count: Int) {
    let kept = CacheGeometry.spanCount(count) * geometry.tableCount
    while sequence.blocks.count > kept { blocks.release(sequence.blocks.removeLast()) }
  }

  /// The cache seen through the given tables; where there is a `choice`, by rows that choose their blocks.
  func view(blockTable: Tensor, rowSequences: Tensor, rowPositions: Tensor, choice: BlockChoice? = nil) -> PagedCache {
    PagedCache(
      arena: CacheArena(base: blocks.baseAddress), blockTable: blockTable, rowSequences: rowSequences,
      rowPositions: rowPositions, geometry: geometry, dtype: dtype, choice: choice)
  }

  /// The byte offsets of a sequence's blocks from the arena, for each table.
  func tables(of sequence: CachedSequence) -> [[Int64]] {
    let (held, count) = (sequence.blocks, geometry.tableCount)
    return (0..<count).map { table in
      stride(from: table, to: held.count, by: count).map { Int64(blocks.byteOffset(of: held[$0])) }
    }
  }
}

/// One sequence's place in the cache: its blocks and how many tokens they hold. Gives the blocks back when it goes.
public final class CachedSequence {
  /// Tokens whose keys and values are in the cache.
  public internal(set) var tokens: [Int32] = []
  /// 16 tokens after the other, those of each in the order of the tables. It keeps what windows have passed: it may be
  /// cut back.
  var blocks: [BlockIndex] = []
  private let cache: KeyValueCache

  init(_ cache: KeyValueCache) { self.cache = cache }

  deinit { cache.truncate(self, to: 0) }

  /// The number of tokens held.
  public var count: Int { tokens.count }

  /// Forgets everything from position `count` on, so that another continuation can follow.
  public func truncate(to count: Int) {
    precondition(count >= 0 && count <= tokens.count, "truncate to \(count) of \(tokens.count) tokens")
    cache.truncate(self, to: count)
    tokens.removeLast(tokens.count - count)
  }
}
