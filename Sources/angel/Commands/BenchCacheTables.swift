import AngelCore
import AngelTensor
import CAngelKernels

/// A row of an attention launch: the sequence it belongs to and its position there.
struct BenchAttentionRow {
  let sequence: Int
  let position: Int
}

extension [BenchAttentionRow] {
  /// The last `count` of `length` tokens of one sequence.
  static func last(_ count: Int, of length: Int) -> Self {
    (length - count..<length).map { BenchAttentionRow(sequence: 0, position: $0) }
  }

  /// The last token of each of `count` sequences of `length`.
  static func ends(_ count: Int, of length: Int) -> Self {
    (0..<count).map { BenchAttentionRow(sequence: $0, position: length - 1) }
  }
}

/// Block tables over a whole buffer: each run takes the next layer, and after the last layer the next sequences.
final class BenchCacheTables {
  /// How the blocks of the sequences lie.
  struct Placement {
    /// Blocks of a sequence follow each other; else they lie anywhere.
    var isInOrder = true
    /// So many families of sequences, dealt out in turn, have so many tokens, in whole blocks, in common.
    var families = 1
    var commonTokens = 0
  }

  private let memory: BenchMemory
  private let geometry: CacheGeometry
  private let dtype: DType
  private let sequences: Int
  private let blocksPerSequence: Int
  private let layerCount: Int
  private let setCount: Int
  private let table: UnsafeMutablePointer<Int64>
  private let indices: UnsafeMutablePointer<Int32>
  private let rowCount: Int
  private var turn = 0

  /// Nil where the buffer has no room for one layer of all sequences.
  init?(
    _ geometry: CacheGeometry, _ dtype: DType, in memory: BenchMemory, rows: [BenchAttentionRow], length: Int,
    _ placement: Placement = Placement()
  ) {
    self.memory = memory
    self.geometry = geometry
    self.dtype = dtype
    rowCount = rows.count
    sequences = 1 + (rows.map(\.sequence).max() ?? 0)
    blocksPerSequence = CacheGeometry.spanCount(length)
    let blocks = sequences * blocksPerSequence
    layerCount = min(geometry.layerCount, memory.byteCount / (blocks * geometry.layerBytes(dtype)))
    guard layerCount > 0 else { return nil }
    let blockBytes = layerCount * geometry.layerBytes(dtype)
    setCount = memory.byteCount / (blocks * blockBytes)
    table = .allocate(capacity: setCount * blocks)
    for set in 0..<setCount {
      for index in 0..<blocks {
        let (sequence, block) = index.quotientAndRemainder(dividingBy: blocksPerSequence)
        let isCommon = block < placement.commonTokens / CacheGeometry.blockTokens
        let number = (isCommon ? sequence % placement.families : sequence) * blocksPerSequence + block
        // A prime that no number of blocks here is a multiple of.
        let place = placement.isInOrder ? number : number * 1_000_003 % blocks
        table[set * blocks + index] = Int64((set * blocks + place) * blockBytes)
      }
    }
    // The rows' sequences, then their positions.
    indices = .allocate(capacity: 2 * rows.count)
    for (index, row) in rows.enumerated() {
      (indices[index], indices[rows.count + index]) = (Int32(row.sequence), Int32(row.position))
    }
  }

  deinit {
    table.deallocate()
    indices.deallocate()
  }

  /// The cache as the kernels see it, of the next layer; of all rows, or of one of them.
  func next(row: Int? = nil) -> angel_paged_cache {
    defer { turn = (turn + 1) % (setCount * layerCount) }
    let (set, layer) = turn.quotientAndRemainder(dividingBy: layerCount)
    let first = row ?? 0
    return angel_paged_cache(
      arena: memory.allocation.address.assumingMemoryBound(to: CChar.self),
      block_table: table + set * sequences * blocksPerSequence, row_sequences: indices + first,
      row_positions: indices + rowCount + first, blocks_per_sequence: Int64(blocksPerSequence),
      layer_offset: Int64(layer * geometry.layerBytes(dtype)), kv_heads: Int64(geometry.keyValueHeadCount),
      head_size: Int64(geometry.headSize))
  }
}

/// Partial results of rows whose positions are shared among parts.
final class BenchAttentionWorkspace {
  let partials: UnsafeMutablePointer<Float>
  let tickets: UnsafeMutablePointer<UInt32>

  /// Nil where the positions are one split.
  init?(rows: Int, heads: Int, _ geometry: CacheGeometry, length: Int) {
    let splits = Int(angel_attention_splits(Int64(CacheGeometry.spanCount(length))))
    guard splits > 1 else { return nil }
    partials = .allocate(capacity: rows * heads * splits * (geometry.headSize + 2))
    tickets = .allocate(capacity: rows * heads)
    tickets.initialize(repeating: 0, count: rows * heads)
  }

  deinit {
    partials.deallocate()
    tickets.deallocate()
  }
}
