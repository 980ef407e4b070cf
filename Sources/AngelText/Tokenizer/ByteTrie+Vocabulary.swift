import AngelCore
import Glibc

extension ByteTrie {
  /// The entries of a vocabulary that `included` accepts, each with its number; the last of equal ones counts.
  ///
  /// They are inserted in the order of their bytes, so that a string costs only what it does not share with the one
  /// before, and no insertion waits for what another one wrote.
  init(_ entries: EntryView, including included: (Int) -> Bool) {
    self.init()
    let keys = Self.sorted(entries, including: included)
    var shared = [Int32](repeating: 0, count: keys.count)
    var nodeCount = 1
    for place in keys.indices {
      let string = entries[Int(keys[place].entry)]
      if place > 0 { shared[place] = Int32(string.commonPrefixCount(with: entries[Int(keys[place - 1].entry)])) }
      nodeCount += string.count - Int(shared[place])
    }
    reserve(nodeCount: nodeCount)
    var path: [Int32] = []
    for (place, key) in keys.enumerated() where !entries[Int(key.entry)].isEmpty {
      let string = entries[Int(key.entry)]
      path.removeLast(path.count - Int(shared[place]))
      for place in path.count..<string.count {
        path.append(place == 0 ? addRoot(string[0]) : addChild(of: path[place - 1], string[place]))
      }
      setValue(Int32(key.entry), at: path[path.count - 1])
    }
  }

  /// An entry and its first eight bytes as a number that is ordered as they are.
  private struct SortKey {
    var start: UInt64
    var entry: UInt32
  }

  private static func sorted(_ entries: EntryView, including included: (Int) -> Bool) -> [SortKey] {
    var keys: [SortKey] = []
    keys.reserveCapacity(entries.count)
    for entry in 0..<entries.count where included(entry) {
      var start: UInt64 = 0
      for (place, byte) in entries[entry].prefix(8).enumerated() { start |= UInt64(byte) << UInt64(56 - 8 * place) }
      keys.append(SortKey(start: start, entry: UInt32(entry)))
    }
    keys.sort { a, b in
      if a.start != b.start { return a.start < b.start }
      let (first, second) = (entries[Int(a.entry)], entries[Int(b.entry)])
      let order = first.order(before: second)
      return order != 0 ? order < 0 : a.entry < b.entry
    }
    return keys
  }
}

extension UnsafeBufferPointer<UInt8> {
  fileprivate func commonPrefixCount(with other: Self) -> Int {
    let limit = Swift.min(count, other.count)
    var shared = 0
    while shared < limit, self[shared] == other[shared] { shared += 1 }
    return shared
  }

  /// Below zero where the bytes come before those of `other`, above it where after.
  fileprivate func order(before other: Self) -> Int {
    guard let baseAddress, let otherAddress = other.baseAddress else { return count - other.count }
    let order = memcmp(baseAddress, otherAddress, Swift.min(count, other.count))
    return order != 0 ? Int(order) : count - other.count
  }
}
