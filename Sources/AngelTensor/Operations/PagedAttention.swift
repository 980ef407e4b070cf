public import AngelCore
import AngelMemory
import CAngelKernels

/// Cache memory of one layer as the attention kernels see it, for the rows of one step (paged_attention.h).
///
/// The one place where storage changes after it is published: a block belongs to the sequence that holds it, and only its
/// engine launches stores into it.
public struct PagedCache: Sendable {
  /// Float32, float16, bfloat16, or of few bits: `q8_0` or `q4_0`.
  public let dtype: DType
  /// [tables, sequences, blocksPerSequence] int64 byte offsets of blocks from the arena (`CacheGeometry.tableCount`).
  public let blockTable: Tensor
  /// [rows] int32: the sequence a row belongs to.
  public let rowSequences: Tensor
  /// [rows] int32: the absolute position of a row in its sequence.
  public let rowPositions: Tensor
  public let geometry: CacheGeometry
  /// Which rows attend to some blocks only, in layers without a window; nil: none.
  public let choice: BlockChoice?
  package let arena: CacheArena

  package init(
    arena: CacheArena, blockTable: Tensor, rowSequences: Tensor, rowPositions: Tensor, geometry: CacheGeometry,
    dtype: DType, choice: BlockChoice? = nil
  ) {
    precondition(
      blockTable.dtype == .int64 && blockTable.shape.rank == 3 && blockTable.shape[0] == geometry.tableCount,
      "cache: table \(blockTable.specification)")
    precondition(
      rowSequences.specification == rowPositions.specification
        && (choice?.rows.specification ?? rowPositions.specification) == rowPositions.specification,
      "cache: rows differ in number")
    self.arena = arena
    self.blockTable = blockTable
    self.rowSequences = rowSequences
    self.rowPositions = rowPositions
    self.geometry = geometry
    self.dtype = dtype
    self.choice = choice
  }

  func view(layer: Int) -> angel_paged_cache {
    let (table, place) = geometry.place(of: layer)
    let entries = UnsafePointer(blockTable.address.assumingMemoryBound(to: Int64.self))
    return angel_paged_cache(
      arena: arena.base.assumingMemoryBound(to: CChar.self),
      block_table: entries + table * blockTable.shape[1] * blockTable.shape[2],
      row_sequences: rowSequences.int32s, row_positions: rowPositions.int32s,
      blocks_per_sequence: Int64(blockTable.shape[2]), layer_offset: Int64(place * geometry.layerBytes(dtype)),
      kv_heads: Int64(geometry.keyValueHeadCount), head_size: Int64(geometry.headSize))
  }
}

/// The memory cache blocks are carved from.
package struct CacheArena {
  package let base: UnsafeMutableRawPointer
  package init(base: UnsafeMutableRawPointer) { self.base = base }
}

// SAFETY: a plain address; which blocks may be written is decided by the engine that owns them.
extension CacheArena: @unchecked Sendable {}

/// How scores are made and masked.
public struct AttentionShape: Hashable, Sendable {
  /// Multiplies query · key, usually 1 / sqrt(headSize).
  public var scale: Float
  /// Scores become cap * tanh(score / cap); 0 for none.
  public var softCap: Float = 0
  /// A row sees this many positions up to its own; 0 for all.
  public var window = 0

  public init(scale: Float, softCap: Float = 0, window: Int = 0) {
    self.scale = scale
    self.softCap = softCap
    self.window = window
  }
}

extension PagedCache {
  /// Writes rotated keys and values, both [R, kvHeads, headSize], at their rows' positions in `layer`.
  public func store(keys: Tensor, values: Tensor, layer: Int) {
    let expected = TensorSpecification(
      [rowPositions.shape[0], geometry.keyValueHeadCount, geometry.headSize], .float32)
    precondition(
      keys.specification == expected && values.specification == expected,
      "kv_store: keys \(keys.specification), values \(values.specification), expected \(expected)")
    let arguments = angel_kv_store_arguments(
      keys: keys.floats, values: values.floats, cache: view(layer: layer), rows: Int64(keys.shape[0]))
    keys.backend.launch(
      ANGEL_FAMILY_kv_store, KernelDTypes(.float32, dtype), arguments, Work(bytes: 3 * expected.byteCount),
      keeping: keys, values)
  }

  /// Softmax attention of `queries` [R, heads, headSize] over each row's cached positions in `layer`: the same shape.
  public func attend(_ queries: Tensor, layer: Int, shape: AttentionShape) -> Tensor {
    let attention = PagedAttention(cache: self, layer: layer, shape: shape)
    let rows = queries.shape[0]
    if let choice, shape.window == 0 {
      return attention(queries, choice.keptBlocks(queries, in: self, layer: layer, shape: shape))
    }
    // Parts share each row's positions and leave partial results.
    guard splits > 1, Self.sharesPositions(rows: rows, geometry, on: queries.backend) else { return attention(queries) }
    let partials = Tensor(
      uninitialized: TensorSpecification([rows, queries.shape[1], splits, geometry.headSize + 2], .float32),
      on: queries.backend, kind: .workspace)
    let tickets = Tensor(
      [Int32](repeating: 0, count: rows * queries.shape[1]), on: queries.backend, kind: .workspace)
    return attention(queries, partials, tickets)
  }

  /// Whether parts are to share the positions of each of `rows` rows.
  ///
  /// Rows and kv heads are units that parts can share out too. Where there are at least four for each part, they come out
  /// nearly equal, and sharing positions would only cost: 4 to 14 % of the time (Documentation/Decisions/0222).
  package static func sharesPositions(rows: Int, _ geometry: CacheGeometry, on backend: any Backend) -> Bool {
    let parts = backend.partLimit
    return rows <= sharedRowLimit && parts > 1 && rows * geometry.keyValueHeadCount < 4 * parts
  }

  /// The most rows that partial results are kept of.
  private static let sharedRowLimit = 16

  /// Splits of the longest sequence the block table has room for.
  private var splits: Int { Int(angel_attention_splits(Int64(blockTable.shape[2]))) }
}

/// Flash attention over cached blocks (arXiv:2205.14135, paged_attention.h). Its definition over dense keys and values
/// is `denseAttention`; a cache is read through block tables, so every arithmetic backend supplies the kernel.
///
/// Inputs: queries and, where rows have chosen, the blocks they keep; or, where parts share a row's positions, partial results
/// and zeroed tickets. The kernel leaves the tickets at zero, so a recorded launch can be replayed.
private struct PagedAttention: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_paged_attention }
  let cache: PagedCache
  let layer: Int
  let shape: AttentionShape

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let queries = inputs[0]
    precondition(
      queries.shape.rank == 3 && queries.shape[0] == cache.rowPositions.shape[0]
        && queries.shape[1] % cache.geometry.keyValueHeadCount == 0 && queries.shape[2] == cache.geometry.headSize,
      "paged_attention: queries \(queries) against \(cache.geometry)")
    return queries
  }

  func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes { KernelDTypes(.float32, cache.dtype) }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_paged_attention_arguments {
    let isShared = inputs.count == 3
    return angel_paged_attention_arguments(
      queries: inputs[0].floats, output: output.mutableFloats, cache: cache.view(layer: layer),
      rows: Int64(output.shape[0]), heads: Int64(output.shape[1]), scale: shape.scale, softcap: shape.softCap,
      window: Int32(clamping: shape.window), partials: isShared ? inputs[1].mutableFloats : nil,
      tickets: isShared ? inputs[2].address.assumingMemoryBound(to: UInt32.self) : nil,
      kept: inputs.count == 2 ? UnsafePointer(inputs[1].address.assumingMemoryBound(to: UInt64.self)) : nil)
  }

  func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    // Half the cache is in sight on average; what a row really sees is known on the device only.
    let positions = cache.blockTable.shape[2] * CacheGeometry.blockTokens / 2
    return Work(bytes: 2 * output.byteCount, multiplyAdds: 2 * output.shape.elementCount * positions)
  }
}

/// Causal attention over dense tensors, the definition that the paged kernel must equal.
///
/// - Parameters:
///   - queries: [R, heads, headSize], row `r` at position `positions[r]`.
///   - keys: [P, kvHeads, headSize], entry `p` at position `p`; `values` alike.
/// - Returns: [R, heads, headSize].
package func denseAttention(
  _ queries: Tensor, keys: Tensor, values: Tensor, positions: [Int], shape: AttentionShape
) -> Tensor {
  let mask = positions.flatMap { position in
    (0..<keys.shape[0]).map { $0 > position || (shape.window > 0 && $0 <= position - shape.window) ? -1e30 : 0.0 }
  }
  return maskedAttention(queries, keys: keys, values: values, mask: mask, shape: shape)
}
