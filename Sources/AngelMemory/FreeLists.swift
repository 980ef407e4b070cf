/// Free blocks segregated by size: 32 classes per power of two, found through two levels of bitmaps.
///
/// After TLSF (Masmano et al., ECRTS 2004): taking, inserting and removing are O(1). Differs: the request's own class
/// is searched for the tightest of a few blocks first, so that a size freed and asked for again finds its old place.
struct FreeLists: ~Copyable {
  private static let subclassBits = 5
  private static let subclassCount = 1 << subclassBits
  private static let classCount = 64 * subclassCount
  private static let searchDepth = 16

  private let heads: UnsafeMutablePointer<Int32>
  private let subclasses: UnsafeMutablePointer<UInt32>
  private var classes: UInt64 = 0

  init() {
    heads = .allocate(capacity: Self.classCount)
    heads.initialize(repeating: -1, count: Self.classCount)
    subclasses = .allocate(capacity: 64)
    subclasses.initialize(repeating: 0, count: 64)
  }

  deinit {
    heads.deallocate()
    subclasses.deallocate()
  }

  /// The class of blocks of `units` units: exact below 32, then 32 steps to each doubling.
  @inline(__always)
  static func classIndex(of units: Int) -> Int {
    guard units >= subclassCount else { return units }
    let exponent = Int.bitWidth - 1 - units.leadingZeroBitCount
    let shift = exponent - subclassBits
    return (shift + 1) << subclassBits + (units >> shift - subclassCount)
  }

  @inline(__always)
  mutating func insert(_ index: Int32, in blocks: UnsafeMutablePointer<ArenaBlock>) {
    let slot = Self.classIndex(of: blocks[Int(index)].length)
    let head = heads[slot]
    blocks[Int(index)].freePrevious = -1
    blocks[Int(index)].freeNext = head
    if head >= 0 { blocks[Int(head)].freePrevious = index }
    heads[slot] = index
    subclasses[slot >> Self.subclassBits] |= 1 << UInt32(truncatingIfNeeded: slot & (Self.subclassCount - 1))
    classes |= 1 << UInt64(truncatingIfNeeded: slot >> Self.subclassBits)
  }

  @inline(__always)
  mutating func remove(_ index: Int32, in blocks: UnsafeMutablePointer<ArenaBlock>) {
    let (previous, next) = (blocks[Int(index)].freePrevious, blocks[Int(index)].freeNext)
    if next >= 0 { blocks[Int(next)].freePrevious = previous }
    if previous >= 0 {
      blocks[Int(previous)].freeNext = next
      return
    }
    let slot = Self.classIndex(of: blocks[Int(index)].length)
    heads[slot] = next
    guard next < 0 else { return }
    let first = slot >> Self.subclassBits
    subclasses[first] &= ~(1 << UInt32(truncatingIfNeeded: slot & (Self.subclassCount - 1)))
    if subclasses[first] == 0 { classes &= ~(1 << UInt64(truncatingIfNeeded: first)) }
  }

  /// A block of at least `units` units, near the tightest there is; it stays in its list.
  @inline(__always)
  func fit(_ units: Int, in blocks: UnsafeMutablePointer<ArenaBlock>) -> Int32? {
    let own = Self.classIndex(of: units)
    var best: Int32 = -1
    var bestLength = Int.max
    var index = heads[own]
    var depth = 0
    while index >= 0, depth < Self.searchDepth {
      let length = blocks[Int(index)].length
      if length == units { return index }
      if length > units, length < bestLength { (best, bestLength) = (index, length) }
      index = blocks[Int(index)].freeNext
      depth += 1
    }
    if best >= 0 { return best }
    if let head = firstHead(above: own) { return head }
    // The rest of the own class, so that a request never fails while a block fits it.
    while index >= 0 {
      if blocks[Int(index)].length >= units { return index }
      index = blocks[Int(index)].freeNext
    }
    return nil
  }

  /// The head of the first non-empty class above `slot`.
  @inline(__always)
  private func firstHead(above slot: Int) -> Int32? {
    let first = slot >> Self.subclassBits
    let below = UInt32(truncatingIfNeeded: slot & (Self.subclassCount - 1))
    let rest = subclasses[first] & ~(UInt32.max >> (31 - below))
    if rest != 0 { return heads[first << Self.subclassBits + rest.trailingZeroBitCount] }
    let higher = first == 63 ? 0 : classes & (UInt64.max << UInt64(first + 1))
    guard higher != 0 else { return nil }
    let next = higher.trailingZeroBitCount
    return heads[next << Self.subclassBits + subclasses[next].trailingZeroBitCount]
  }

  /// Calls `body` with every block, from the shortest class on, as long as it gives true.
  func forEach(in blocks: UnsafeMutablePointer<ArenaBlock>, _ body: (Int32) -> Bool) {
    for first in 0..<64 where classes >> UInt64(first) & 1 == 1 {
      for second in 0..<Self.subclassCount where subclasses[first] >> UInt32(second) & 1 == 1 {
        var index = heads[first << Self.subclassBits + second]
        while index >= 0 {
          guard body(index) else { return }
          index = blocks[Int(index)].freeNext
        }
      }
    }
  }

  /// The length of the longest free block.
  func longest(in blocks: UnsafeMutablePointer<ArenaBlock>) -> Int {
    guard classes != 0 else { return 0 }
    let first = 63 - classes.leadingZeroBitCount
    var index = heads[first << Self.subclassBits + 31 - subclasses[first].leadingZeroBitCount]
    var result = 0
    while index >= 0 {
      result = max(result, blocks[Int(index)].length)
      index = blocks[Int(index)].freeNext
    }
    return result
  }

  /// Every block in the lists, checking links, classes and bitmaps on the way.
  func checkedMembers(in blocks: UnsafeMutablePointer<ArenaBlock>) throws(MemoryError) -> Set<Int32> {
    var members: Set<Int32> = []
    for slot in 0..<Self.classCount {
      let (first, second) = (slot >> Self.subclassBits, slot & (Self.subclassCount - 1))
      let isMarked = subclasses[first] >> UInt32(second) & 1 == 1
      guard isMarked == (heads[slot] >= 0) else { throw .invariant("size class \(slot) has a wrong mark") }
      if isMarked, classes >> UInt64(first) & 1 == 0 { throw .invariant("size classes \(first) have a wrong mark") }
      var previous: Int32 = -1
      var index = heads[slot]
      while index >= 0 {
        let block = blocks[Int(index)]
        guard block.isFree, block.freePrevious == previous, Self.classIndex(of: block.length) == slot,
          members.insert(index).inserted
        else { throw .invariant("block \(index) is wrongly linked in size class \(slot)") }
        (previous, index) = (index, block.freeNext)
      }
    }
    return members
  }
}
