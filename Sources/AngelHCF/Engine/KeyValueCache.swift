import AngelCore
import AngelMemory
import AngelTensor

/// Keys and values of all layers in blocks of 16 tokens, carved from the page pool and reached through block tables.
final class KeyValueCache {
  let geometry: CacheGeometry
  let dtype: DType
  private let blocks: BlockPool
  private let backend: any Backend

  /// A cache of at most `tokenLimit` tokens.
  init(geometry: CacheGeometry, dtype: DType, tokenLimit: Int, pool: PagePool, backend: any Backend) {
    self.geometry = geometry
    self.dtype = dtype
    self.backend = backend
    let blockCount = (tokenLimit + CacheGeometry.blockTokens - 1) / CacheGeometry.blockTokens
    blocks = BlockPool(pool: pool, blockByteCount: geometry.blockBytes(dtype), limit: blockCount)
  }

  /// Makes room for `count` tokens in all.
  func reserve(_ count: Int, in sequence: CachedSequence) throws(MemoryError) {
    let wanted = (count + CacheGeometry.blockTokens - 1) / CacheGeometry.blockTokens
    guard wanted > sequence.blocks.count else { return }
    sequence.blocks += try blocks.allocate(count: wanted - sequence.blocks.count)
  }

  /// Gives back the blocks beyond the first `count` tokens.
  func truncate(_ sequence: CachedSequence, to count: Int) {
    let kept = (count + CacheGeometry.blockTokens - 1) / CacheGeometry.blockTokens
    while sequence.blocks.count > kept { blocks.release(sequence.blocks.removeLast()) }
  }

  /// What the attention kernels need for the rows of one step: `count` tokens of `sequence` from position `start`.
  func view(of sequence: CachedSequence, from start: Int, count: Int) -> PagedCache {
    let offsets = offsets(of: sequence)
    let positions = (start..<(start + count)).map { Int32($0) }
    return view(
      blockTable: Tensor(offsets, shape: [1, offsets.count], on: backend, kind: .workspace),
      rowSequences: Tensor([Int32](repeating: 0, count: count), on: backend, kind: .workspace),
      rowPositions: Tensor(positions, on: backend, kind: .workspace))
  }

  /// The cache seen through the given tables.
  func view(blockTable: Tensor, rowSequences: Tensor, rowPositions: Tensor) -> PagedCache {
    PagedCache(
      arena: CacheArena(base: blocks.baseAddress), blockTable: blockTable, rowSequences: rowSequences,
      rowPositions: rowPositions, geometry: geometry, dtype: dtype)
  }

  /// The byte offsets of a sequence's blocks from the arena.
  func offsets(of sequence: CachedSequence) -> [Int64] { sequence.blocks.map { Int64(blocks.byteOffset(of: $0)) } }

  /// The most blocks a sequence may have.
  var blockLimit: Int { blocks.limit }
}

/// One sequence's place in the cache: its blocks and how many tokens they hold. Gives the blocks back when it goes.
public final class CachedSequence {
  /// Tokens whose keys and values are in the cache.
  public internal(set) var tokens: [Int32] = []
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
