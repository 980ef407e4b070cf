/// Which two neighbouring tokens merge, in what order, into what: open addressing keyed by the pair of ids.
struct MergeTable: Sendable {
  /// A merge's place in the order, the lowest first, and the token it makes.
  struct Merge {
    var rank: UInt32
    var result: Int32
  }

  /// The pair and its merge side by side: a look-up touches one line of the cache.
  private struct Slot {
    var key: UInt64
    var merge: Merge
  }

  private var slots: [Slot]
  private let hash = ByteHash()
  /// No pair of tokens has this key, because ids are not negative.
  private static let empty = UInt64.max

  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    slots = Array(repeating: Slot(key: Self.empty, merge: Merge(rank: .max, result: -1)), count: size)
  }

  /// Adds merges in the order of their ranks; a later one of the same pair replaces it, as in the reference.
  mutating func insert(_ merges: [ResolvedMerge]) {
    let hash = hash
    slots.withUnsafeMutableBufferPointer { slots in
      for (rank, merge) in merges.enumerated() {
        let key = Self.key(merge.left, merge.right)
        let slot = Self.position(of: key, hash, UnsafeBufferPointer(slots))
        slots[slot] = Slot(key: key, merge: Merge(rank: UInt32(rank), result: merge.result))
      }
    }
  }

  /// The merge of two neighbours; rank `UInt32.max` where they do not merge.
  @inline(__always)
  func find(_ left: Int32, _ right: Int32) -> Merge {
    slots.withUnsafeBufferPointer { slots in slots[Self.position(of: Self.key(left, right), hash, slots)].merge }
  }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// The slot of a pair or the empty one where it would go; slots are never more than half full.
  @inline(__always)
  private static func position(of key: UInt64, _ hash: ByteHash, _ slots: UnsafeBufferPointer<Slot>) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash(key)) & mask
    while slots[slot].key != key && slots[slot].key != empty { slot = (slot + 1) & mask }
    return slot
  }
}
