/// A paged cache filled by the kv_store kernel, queries over it, and attention's definition in float64.
import AngelCore
import CAngelKernels
import Glibc

/// One row of a batch: which sequence it belongs to and where it stands.
struct AttentionRow: Equatable {
  var sequence: Int32
  var position: Int32
}

struct AttentionCase {
  var heads = 4
  var keyValueHeads = 2
  var headSize = 64
  var cache = ANGEL_F16
  var window: Int32 = 0
  var softcap: Float = 0
  /// Positions written, of each sequence.
  var lengths = [100]
  /// Positions, in whole blocks, that all sequences have in common: they lie in the blocks of the first.
  var common = 0
  var seed: UInt64 = 1

  var scale: Float { 1 / Float(headSize).squareRoot() }
  var blocksPerSequence: Int { (lengths.max() ?? 1) / 16 + 2 }
  var element: Int { cache == ANGEL_F32 ? 4 : 2 }
  /// Two layers; the case uses the second.
  var layerBytes: Int { 2 * keyValueHeads * headBytes }
  /// Bytes of one kv head's keys, or values, in a block.
  var headBytes: Int { BundledHead(cache).map { $0.byteCount(headSize) } ?? headSize * 16 * element }
  var blockBytes: Int { 2 * layerBytes }

  /// Keys (1) or values (2) of all written positions, [sequence][position][kv head][head size].
  func stored(_ which: UInt64) -> [[Float]] {
    lengths.enumerated().map { sequence, length in
      var random = TestRandom(state: seed &* 1000 &+ which &* 100 &+ UInt64(sequence))
      // Eight significant bits at most, so that every cache dtype holds the values exactly.
      return (0..<length * keyValueHeads * headSize).map { _ in Float(Int(random.next() % 257) - 128) / 64 }
    }.withCommonBeginning(common * keyValueHeads * headSize)
  }

  /// The same as the cache remembers them, where it has few bits.
  func remembered(_ which: UInt64) -> [[Float]] {
    guard let head = BundledHead(cache) else { return stored(which) }
    return stored(which).map { values in
      stride(from: 0, to: values.count, by: headSize).flatMap { head.remembered(Array(values[$0..<$0 + headSize])) }
    }
  }

  func query(_ row: AttentionRow) -> [Float] {
    var random = TestRandom(state: seed &* 77 &+ UInt64(row.sequence) &* 100_003 &+ UInt64(row.position))
    return random.floats(heads * headSize, scale: 2)
  }

  /// Blocks of all sequences, out of order.
  var blockTable: [Int64] {
    let count = lengths.count * blocksPerSequence
    let step = (count / 2 + 1...count + 1).first { candidate in
      !(2...candidate).contains { candidate % $0 == 0 && count % $0 == 0 }
    }
    return (0..<count).map { index in
      let place = index % blocksPerSequence < common / 16 ? index % blocksPerSequence : index
      return Int64((place * (step ?? 1) + 3) % count * blockBytes)
    }
  }

  /// The cache as kv_store leaves it; whatever was never written is NaN.
  func filled(
    _ memory: TestMemory, isa: angel_isa = angel_isa_current(), parts: Int32 = 1
  ) -> (arena: UnsafeMutablePointer<UInt8>, bytes: Int) {
    let bytes = lengths.count * blocksPerSequence * blockBytes
    let arena = memory.room(bytes, of: UInt8.max)
    let rows = lengths.enumerated().flatMap { sequence, length in
      (0..<length).map { AttentionRow(sequence: Int32(sequence), position: Int32($0)) }
    }
    let arguments = angel_kv_store_arguments(
      keys: memory.copy(stored(1).flatMap { $0 }), values: memory.copy(stored(2).flatMap { $0 }),
      cache: paged(memory, arena, rows), rows: Int64(rows.count))
    let kernel = angel_kernel_lookup_for(isa, ANGEL_FAMILY_kv_store, ANGEL_F32, cache, ANGEL_NO_DTYPE)
    launch(kernel, arguments, parts: parts)
    return (arena, bytes)
  }

  func paged(
    _ memory: TestMemory, _ arena: UnsafeMutablePointer<UInt8>, _ rows: [AttentionRow]
  ) -> angel_paged_cache {
    angel_paged_cache(
      arena: UnsafeMutableRawPointer(arena).assumingMemoryBound(to: CChar.self), block_table: memory.copy(blockTable),
      row_sequences: memory.copy(rows.map(\.sequence)), row_positions: memory.copy(rows.map(\.position)),
      blocks_per_sequence: Int64(blocksPerSequence), layer_offset: Int64(layerBytes),
      kv_heads: Int64(keyValueHeads), head_size: Int64(headSize))
  }

  /// The kernel's output for `rows` as one batch; `shared`: parts may share a row's positions; `kept`: the blocks each
  /// attends to (`BlockSets`).
  func attended(
    _ rows: [AttentionRow], _ memory: TestMemory, _ arena: UnsafeMutablePointer<UInt8>, shared: Bool = false,
    kept: [UInt64]? = nil, run: (angel_paged_attention_arguments) -> Void
  ) -> [Float] {
    let output = memory.room(rows.count * heads * headSize, of: Float.nan)
    let splits = Int(angel_attention_splits(Int64(blocksPerSequence)))
    let tickets = memory.room(rows.count * heads, of: UInt32(0))
    run(
      angel_paged_attention_arguments(
        queries: memory.copy(rows.flatMap(query)), output: output, cache: paged(memory, arena, rows),
        rows: Int64(rows.count), heads: Int64(heads), scale: scale, softcap: softcap, window: window,
        partials: shared ? memory.room(rows.count * heads * splits * (headSize + 2), of: Float.nan) : nil,
        tickets: shared ? tickets : nil, kept: kept.map { UnsafePointer(memory.copy($0)) }))
    precondition(array(tickets, rows.count * heads).allSatisfy { $0 == 0 }, "tickets are left for the next launch")
    return array(output, rows.count * heads * headSize)
  }

  /// As `attended`, with the best kernel, `batch` rows at a time.
  func attended(_ rows: [AttentionRow], batch: Int, shared: Bool = false) -> [Float] {
    let kernel = angel_kernel_lookup(ANGEL_FAMILY_paged_attention, ANGEL_F32, cache, ANGEL_NO_DTYPE)
    return TestMemory.scope { memory in
      let arena = filled(memory).arena
      return stride(from: 0, to: rows.count, by: batch).flatMap { first in
        let some = Array(rows[first..<min(first + batch, rows.count)])
        return attended(some, memory, arena, shared: shared) { launch(kernel, $0, parts: 2) }
      }
    }
  }

  /// softmax(scale q k) v of one row, by its definition, over all it sees or the positions in `kept` of each kv head.
  func expected(_ row: AttentionRow, kept: [[Int]]? = nil) -> [Double] {
    let keys = remembered(1)[Int(row.sequence)]
    let values = remembered(2)[Int(row.sequence)]
    let query = query(row)
    let last = Int(row.position)
    let first = window > 0 ? max(0, last - Int(window) + 1) : 0
    var output: [Double] = []
    for head in 0..<heads {
      let kvHead = head / (heads / keyValueHeads)
      let start = { (position: Int) in (position * keyValueHeads + kvHead) * headSize }
      let positions = kept?[kvHead] ?? Array(first...last)
      var weights = positions.map { position -> Double in
        var dot = 0.0
        for d in 0..<headSize { dot += Double(query[head * headSize + d]) * Double(keys[start(position) + d]) }
        let score = dot * Double(scale)
        return softcap > 0 ? Double(softcap) * tanh(score / Double(softcap)) : score
      }
      let maximum = weights.max() ?? 0
      weights = weights.map { exp($0 - maximum) }
      let sum = weights.reduce(0, +)
      for d in 0..<headSize {
        var total = 0.0
        for (index, weight) in weights.enumerated() { total += weight * Double(values[start(positions[index]) + d]) }
        output.append(total / sum)
      }
    }
    return output
  }
}

extension [[Float]] {
  /// The same with the first elements of the first in all.
  fileprivate func withCommonBeginning(_ count: Int) -> Self {
    map { values in count > 0 ? [Float](self[0].prefix(count) + values.dropFirst(count)) : values }
  }
}
