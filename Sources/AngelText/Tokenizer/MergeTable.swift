/// Which two neighbouring tokens merge, in what order, into what: open addressing keyed by the pair of ids.
struct MergeTable: Sendable {
  /// A merge's place in the order, the lowest first, and the token it makes.
  struct Merge {
    var rank: UInt32
    var result: Int32
  }

  private var keys: [UInt64]
  private var merges: [Merge]
  private let hash = ByteHash()
  /// No pair of tokens has this key, because ids are not negative.
  private static let empty = UInt64.max

  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    keys = Array(repeating: Self.empty, count: size)
    merges = Array(repeating: Merge(rank: .max, result: -1), count: size)
  }

  /// Adds a merge; a later one of the same pair replaces it, as in the reference.
  mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) {
    let key = Self.key(left, right)
    let slot = position(of: key)
    keys[slot] = key
    merges[slot] = merge
  }

  /// The merge of two neighbours; rank `UInt32.max` where they do not merge.
  @inline(__always)
  func find(_ left: Int32, _ right: Int32) -> Merge { merges[position(of: Self.key(left, right))] }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private func position(of key: UInt64) -> Int {
    let mask = keys.count - 1
    var slot = Int(truncatingIfNeeded: hash(key)) & mask
    while keys[slot] != key && keys[slot] != Self.empty { slot = (slot + 1) & mask }
    return slot
  }
}
