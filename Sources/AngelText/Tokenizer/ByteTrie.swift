import AngelCore

/// Byte strings by their prefixes: nodes are numbers, edges one flat hash table.
struct ByteTrie: Sendable {
  /// Node, byte and child in 28, 8 and 28 bits; zero where empty. Files that are read are smaller than 2^28 bytes, and a
  /// byte makes one node at most.
  private var edges = [UInt64](repeating: 0, count: 64)
  private static let childBits: UInt64 = 28
  private var roots = [Int32](repeating: -1, count: 256)
  /// The value of the string that ends at each node, -1 where none does.
  private var ends: [Int32] = [-1]
  private let hash = ByteHash()

  var isEmpty: Bool { ends.count == 1 }

  /// Gives `string` a value, which must not be negative; `replacing` says what happens to an equal one before.
  mutating func insert(_ string: UnsafeBufferPointer<UInt8>, _ value: Int32, replacing: Bool = false) {
    guard let first = string.first else { return }
    if roots[Int(first)] < 0 { roots[Int(first)] = makeNode() }
    var node = roots[Int(first)]
    for byte in string.dropFirst() {
      if 2 * ends.count > edges.count { grow() }
      let slot = position(of: Self.key(node, byte))
      if edges[slot] == 0 {
        edges[slot] = Self.key(node, byte) << Self.childBits | UInt64(UInt32(makeNode()))
      }
      node = Self.child(edges[slot])
    }
    if replacing || ends[Int(node)] < 0 { ends[Int(node)] = value }
  }

  /// Calls `body` with the value and the end of each string that `text` continues with at `start`, shortest first.
  @inline(__always)
  func forEachMatch(in text: UnsafeBufferPointer<UInt8>, from start: Int, _ body: (Int32, _ end: Int) -> Void) {
    guard start < text.count else { return }
    var node = roots[Int(text[start])]
    var position = start + 1
    while node >= 0 {
      if ends[Int(node)] >= 0 { body(ends[Int(node)], position) }
      guard position < text.count else { return }
      node = child(of: node, text[position])
      position += 1
    }
  }

  /// The longest string that `text` continues with at `start`.
  @inline(__always)
  func longestMatch(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> (value: Int32, end: Int)? {
    var found: (value: Int32, end: Int)?
    forEachMatch(in: text, from: start) { found = ($0, $1) }
    return found
  }

  @inline(__always)
  private func child(of node: Int32, _ byte: UInt8) -> Int32 {
    let edge = edges[position(of: Self.key(node, byte))]
    return edge == 0 ? -1 : Self.child(edge)
  }

  @inline(__always)
  private static func key(_ node: Int32, _ byte: UInt8) -> UInt64 { UInt64(UInt32(node)) << 8 | UInt64(byte) }

  @inline(__always)
  private static func child(_ edge: UInt64) -> Int32 { Int32(truncatingIfNeeded: edge & (1 << childBits - 1)) }

  /// The slot of an edge or the empty one where it would go; slots are never more than half full.
  @inline(__always)
  private func position(of key: UInt64) -> Int {
    edges.withUnsafeBufferPointer { edges in
      let mask = edges.count - 1
      var slot = Int(truncatingIfNeeded: hash(key)) & mask
      while edges[slot] >> Self.childBits != key && edges[slot] != 0 { slot = (slot + 1) & mask }
      return slot
    }
  }

  /// Makes room for so many nodes in an empty trie.
  mutating func reserve(nodeCount: Int) {
    var capacity = edges.count
    while capacity < 2 * nodeCount { capacity *= 2 }
    edges = Array(repeating: 0, count: capacity)
    ends.reserveCapacity(nodeCount)
  }

  /// Adds what no string has begun with so far; for strings in the order of their bytes.
  mutating func addRoot(_ byte: UInt8) -> Int32 {
    roots[Int(byte)] = makeNode()
    return roots[Int(byte)]
  }

  /// Adds the continuation of a node by a byte that it does not have yet; room has been made for it.
  @inline(__always)
  mutating func addChild(of node: Int32, _ byte: UInt8) -> Int32 {
    let key = Self.key(node, byte)
    let child = makeNode()
    let hash = hash
    edges.withUnsafeMutableBufferPointer { edges in
      let mask = edges.count - 1
      var slot = Int(truncatingIfNeeded: hash(key)) & mask
      while edges[slot] != 0 { slot = (slot + 1) & mask }
      edges[slot] = key << Self.childBits | UInt64(UInt32(child))
    }
    return child
  }

  mutating func setValue(_ value: Int32, at node: Int32) { ends[Int(node)] = value }

  private mutating func makeNode() -> Int32 {
    ends.append(-1)
    return Int32(ends.count - 1)
  }

  private mutating func grow() {
    let old = edges
    edges = Array(repeating: 0, count: 2 * old.count)
    for edge in old where edge != 0 { edges[position(of: edge >> Self.childBits)] = edge }
  }
}
