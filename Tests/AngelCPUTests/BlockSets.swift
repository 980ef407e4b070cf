/// Which blocks rows attend to, and the choice of them by its definition in float64 (choose_blocks.h).
import CAngelKernels
import Glibc

/// A set of blocks for each kv head and row of a launch.
struct BlockSets: Equatable {
  /// [kv head][row]; nil: all that the row sees.
  var blocks: [[Set<Int>?]]
  let blocksPerSequence: Int

  /// As the kernels have them.
  var words: [UInt64] {
    blocks.flatMap { rows in
      rows.flatMap { set in
        var words = [UInt64](repeating: 0, count: 1 + Int(angel_choice_words(Int64(blocksPerSequence))))
        for block in set ?? [] { words[1 + block / 64] |= 1 << UInt64(block % 64) }
        words[0] = UInt64(set?.count ?? 0)
        return words
      }
    }
  }

  init(_ blocks: [[Set<Int>?]], blocksPerSequence: Int) {
    self.blocks = blocks
    self.blocksPerSequence = blocksPerSequence
  }

  init(words: [UInt64], heads: Int, rows: Int, blocksPerSequence: Int) {
    let width = words.count / (heads * rows)
    self.blocksPerSequence = blocksPerSequence
    blocks = (0..<heads).map { head in
      (0..<rows).map { row in
        let some = words[(head * rows + row) * width..<(head * rows + row + 1) * width]
        guard let count = some.first, count > 0 else { return nil }
        let set = Set((0..<(width - 1) * 64).filter { some[some.startIndex + 1 + $0 / 64] >> UInt64($0 % 64) & 1 == 1 })
        return set.count == Int(count) ? set : []
      }
    }
  }
}

extension AttentionCase {
  /// Of each whole block up to a row, what share of all the row's queries may find there; summed over the heads of a kv head.
  func shares(_ row: AttentionRow, kvHead: Int) -> [Double] {
    let keys = remembered(1)[Int(row.sequence)]
    let query = query(row)
    let group = heads / keyValueHeads
    var shares = [Double](repeating: 0, count: (Int(row.position) + 1) / 16)
    for head in kvHead * group..<(kvHead + 1) * group {
      let bounds = shares.indices.map { block -> Double in
        var bound = 0.0
        for d in 0..<headSize {
          let column = (block * 16..<block * 16 + 16).map { keys[($0 * keyValueHeads + kvHead) * headSize + d] }
          let q = Double(query[head * headSize + d]) * Double(scale)
          bound += q > 0 ? q * Double(column.max() ?? 0) : q * Double(column.min() ?? 0)
        }
        return softcap > 0 ? Double(softcap) * tanh(bound / Double(softcap)) : bound
      }
      let greatest = bounds.max() ?? 0
      let weights = bounds.map { exp($0 - greatest) }
      let sum = weights.reduce(0, +)
      for index in shares.indices { shares[index] += weights[index] / sum }
    }
    return shares
  }

  /// What the kernels choose for `rows`, whose `choices` say which of them do.
  func chosen(
    _ rows: [AttentionRow], choices: [Int32]? = nil, share: Float, _ memory: TestMemory,
    _ arena: UnsafeMutablePointer<UInt8>, isa: angel_isa = angel_isa_current(), parts: Int32 = 1
  ) -> BlockSets {
    let cache = paged(memory, arena, rows)
    let spans = Int(angel_bound_spans(Int64(blocksPerSequence)))
    let count = lengths.count * keyValueHeads * spans * 2 * headSize * 16
    let bounds = memory.room(count, of: Float.nan)
    let flags = memory.copy(choices ?? rows.map { _ in 1 })
    launch(
      angel_kernel_lookup_for(isa, ANGEL_FAMILY_key_bounds, ANGEL_F32, self.cache, ANGEL_NO_DTYPE),
      angel_key_bounds_arguments(
        cache: cache, choices: flags, bounds: bounds, rows: Int64(rows.count), sequences: Int64(lengths.count)),
      parts: parts)
    let words = keyValueHeads * rows.count * (1 + Int(angel_choice_words(Int64(blocksPerSequence))))
    let kept = memory.room(words, of: UInt64.max)
    launch(
      angel_kernel_lookup_for(isa, ANGEL_FAMILY_choose_blocks, ANGEL_F32, self.cache, ANGEL_NO_DTYPE),
      angel_choose_blocks_arguments(
        queries: memory.copy(rows.flatMap(query)), cache: cache, choices: flags, bounds: bounds, kept: kept,
        rows: Int64(rows.count), heads: Int64(heads), scale: scale, softcap: softcap, share: share),
      parts: parts)
    return BlockSets(
      words: array(kept, words), heads: keyValueHeads, rows: rows.count, blocksPerSequence: blocksPerSequence)
  }
}
