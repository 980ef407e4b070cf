import AngelCore
import AngelModels
import AngelTensor
import CAngelKernels

extension BenchKernelMaker {
  /// Attention of one layer for the last `rows` of `length` tokens, and the store of the first `rows` keys and values.
  func attention(_ shape: BenchShape, rows: Int, length: Int, _ dtype: DType) -> BenchKernelCase? {
    let sizes = shape.configuration
    let geometry = sizes.cacheGeometry
    let elements = rows * sizes.headCount * sizes.headSize
    let tables = CacheTables(self, geometry, dtype, in: source, rows: rows, length: length)
    let work = Work(bytes: 8 * elements, multiplyAdds: elements * length)
    guard
      let launch = launcher(
        ANGEL_FAMILY_paged_attention, KernelDTypes(.float32, dtype), work, angel_paged_attention_arguments.self)
    else { return nil }
    let seen = ((length - rows)..<length).reduce(0) { $0 + $1 + 1 }
    let (queries, output) = (floats(elements), output(elements))
    let workspace = AttentionWorkspace(rows: rows, heads: sizes.headCount, headSize: sizes.headSize, length: length)
    return BenchKernelCase(
      kernel: "paged_attention", dtype: dtype.name, model: shape.rawValue,
      shape: (rows == 1 ? "decode" : "prefill \(rows)") + " at \(length)",
      bytes: geometry.layerBytes(dtype) * length / CacheGeometry.blockTokens + 8 * elements,
      arithmetic: (4 * sizes.headCount * sizes.headSize * seen, .float32),
      run: {
        launch(
          angel_paged_attention_arguments(
            queries: queries, output: output, cache: tables.next(), rows: Int64(rows), heads: Int64(sizes.headCount),
            scale: 0.125, softcap: 0, window: 0, partials: workspace?.partials, tickets: workspace?.tickets))
      })
  }

  /// The store of `rows` new keys and values.
  func keyValueStore(_ shape: BenchShape, rows: Int, _ dtype: DType) -> BenchKernelCase? {
    let geometry = shape.configuration.cacheGeometry
    let elements = rows * geometry.keyValueHeadCount * geometry.headSize
    let tables = CacheTables(self, geometry, dtype, in: target, rows: rows, length: rows)
    guard
      let launch = launcher(
        ANGEL_FAMILY_kv_store, KernelDTypes(.float32, dtype), Work(bytes: 12 * elements), angel_kv_store_arguments.self)
    else { return nil }
    return BenchKernelCase(
      kernel: "kv_store", dtype: dtype.name, model: shape.rawValue, shape: "rows \(rows)",
      bytes: 2 * elements * (4 + dtype.blockBytes),
      run: {
        launch(
          angel_kv_store_arguments(
            keys: floats(elements), values: floats(elements), cache: tables.next(), rows: Int64(rows)))
      })
  }
}

/// Partial results of rows whose positions are shared among parts, as inference shares those of a decoded row.
private final class AttentionWorkspace {
  let partials: UnsafeMutablePointer<Float>
  let tickets: UnsafeMutablePointer<UInt32>

  init?(rows: Int, heads: Int, headSize: Int, length: Int) {
    let blocks = (length + CacheGeometry.blockTokens - 1) / CacheGeometry.blockTokens
    let splits = Int(angel_attention_splits(Int64(blocks)))
    guard rows == 1, splits > 1 else { return nil }
    partials = .allocate(capacity: rows * heads * splits * (headSize + 2))
    tickets = .allocate(capacity: rows * heads)
    tickets.initialize(repeating: 0, count: rows * heads)
  }

  deinit {
    partials.deallocate()
    tickets.deallocate()
  }
}

/// Block tables over a whole buffer: each run takes the next layer, and after the last layer the next sequence.
private final class CacheTables {
  private let memory: BenchMemory
  private let geometry: CacheGeometry
  private let dtype: DType
  private let blocksPerSequence: Int
  private let sequences: Int
  private let table: UnsafeMutablePointer<Int64>
  private let indices: UnsafeMutablePointer<Int32>
  private let rows: Int
  private var turn = 0

  init(
    _ maker: BenchKernelMaker, _ geometry: CacheGeometry, _ dtype: DType, in memory: BenchMemory, rows: Int, length: Int
  ) {
    self.memory = memory
    self.geometry = geometry
    self.dtype = dtype
    self.rows = rows
    blocksPerSequence = (length + CacheGeometry.blockTokens - 1) / CacheGeometry.blockTokens
    let blockBytes = geometry.layerCount * geometry.layerBytes(dtype)
    sequences = memory.byteCount / blockBytes / blocksPerSequence
    precondition(sequences > 0, "a cache of \(length) tokens in \(memory.byteCount) bytes")
    table = .allocate(capacity: sequences * blocksPerSequence)
    for block in 0..<(sequences * blocksPerSequence) { table[block] = Int64(block * blockBytes) }
    // Rows of the one sequence 0, then their positions.
    indices = .allocate(capacity: 2 * rows)
    for row in 0..<rows { (indices[row], indices[rows + row]) = (0, Int32(length - rows + row)) }
  }

  deinit {
    table.deallocate()
    indices.deallocate()
  }

  func next() -> angel_paged_cache {
    defer { turn = (turn + 1) % (sequences * geometry.layerCount) }
    let (sequence, layer) = turn.quotientAndRemainder(dividingBy: geometry.layerCount)
    return angel_paged_cache(
      arena: memory.allocation.address.assumingMemoryBound(to: CChar.self),
      block_table: table + sequence * blocksPerSequence, row_sequences: indices, row_positions: indices + rows,
      blocks_per_sequence: Int64(blocksPerSequence), layer_offset: Int64(layer * geometry.layerBytes(dtype)),
      kv_heads: Int64(geometry.keyValueHeadCount), head_size: Int64(geometry.headSize))
  }
}
