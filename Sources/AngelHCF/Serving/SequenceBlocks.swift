import AngelMemory

/// The cache blocks of one sequence, in stretches of 16 tokens: a block of each for the layers that see furthest, and where
/// windowed layers lie apart, further ones for those. What no layer sees any more has been dropped from the front.
struct SequenceBlocks {
  /// Blocks from stretch `dropped` on.
  private(set) var wide: [BlockIndex] = []
  private(set) var dropped = 0
  /// Blocks of windowed layers from stretch `droppedLocals` on, those of a stretch side by side.
  private(set) var local: [BlockIndex] = []
  private(set) var droppedLocals = 0

  /// Stretches up to the last, the dropped ones included.
  var count: Int { dropped + wide.count }
  /// Blocks held.
  var heldCount: Int { wide.count + local.count }
  /// Local blocks of a stretch.
  private var localCount: Int { count > droppedLocals ? local.count / (count - droppedLocals) : 0 }

  /// Adds a stretch at the end; without local blocks only before any that has them.
  mutating func append(_ block: BlockIndex, _ locals: some Sequence<BlockIndex>) {
    wide.append(block)
    local += locals
    if local.isEmpty { droppedLocals = count }
  }

  /// The local blocks of a stretch, none where they have been dropped.
  func locals(of index: Int) -> ArraySlice<BlockIndex> {
    let first = (index - droppedLocals) * localCount
    return localCount > 0 && first >= 0 ? local[first..<(first + localCount)] : []
  }

  /// Puts other blocks in the place of a stretch's.
  mutating func replace(_ index: Int, _ block: BlockIndex, _ locals: [BlockIndex]) {
    wide[index - dropped] = block
    let first = (index - droppedLocals) * localCount
    if localCount > 0, first >= 0 { local.replaceSubrange(first..<(first + localCount), with: locals) }
  }

  /// Takes out the blocks before a stretch.
  mutating func dropWide(before end: Int) -> [BlockIndex] {
    let taken = max(0, end - dropped)
    defer {
      wide.removeFirst(taken)
      dropped += taken
    }
    return Array(wide.prefix(taken))
  }

  /// Takes out the blocks of windowed layers before a stretch.
  mutating func dropLocals(before end: Int) -> [BlockIndex] {
    let taken = max(0, end - droppedLocals)
    let blocks = Array(local.prefix(taken * localCount))
    local.removeFirst(blocks.count)
    droppedLocals += taken
    return blocks
  }
}

extension SequenceBlocks {
  /// Sorts sequences so that those with a common beginning come one after the other.
  static func < (a: Self, b: Self) -> Bool { a.wide.lexicographicallyPrecedes(b.wide) }
}
