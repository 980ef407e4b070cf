/// A used or free stretch of an arena, linked to its neighbours by address and, when free, to others of its size.
struct ArenaBlock {
  /// Start and length in units of `ArenaBlocks.unitByteCount`.
  var offset: Int
  var length: Int
  /// Neighbours by address; −1 at the ends. `next` also chains unused records.
  var previous: Int32
  var next: Int32
  var freePrevious: Int32 = -1
  var freeNext: Int32 = -1
  /// Counts the uses of this record, so that a region released twice is noticed.
  var generation: UInt32 = 0
  var owner: BlockOwner
  var isFree: Bool
}

/// Whose a block is: free whole pages belong to nobody, everything else to one kind.
struct BlockOwner: RawRepresentable, Equatable {
  let rawValue: UInt8
  static let nobody = BlockOwner(rawValue: UInt8(MemoryKind.allCases.count))
  init(rawValue: UInt8) { self.rawValue = rawValue }
  init(_ kind: MemoryKind) { rawValue = kind.rawValue }
}
