import AngelCore

/// Byte strings by their prefixes: nodes are numbers, edges one flat hash table.
struct ByteTrie: Sendable {
  private struct Edge {
    /// Node, byte and one bit above them; zero where empty.
    var key: UInt64 = 0
    var child: Int32 = 0
  }

  private var edges = [Edge](repeating: Edge(), count: 64)
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
      if edges[slot].key == 0 { edges[slot] = Edge(key: Self.key(node, byte), child: makeNode()) }
      node = edges[slot].child
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
    return edge.key == 0 ? -1 : edge.child
  }

  @inline(__always)
  private static func key(_ node: Int32, _ byte: UInt8) -> UInt64 { UInt64(UInt32(node)) << 8 | UInt64(byte) | 1 << 40 }

  /// The slot of an edge or the empty one where it would go; slots are never more than half full.
  @inline(__always)
  private func position(of key: UInt64) -> Int {
    let mask = edges.count - 1
    var slot = Int(truncatingIfNeeded: hash(key)) & mask
    while edges[slot].key != key && edges[slot].key != 0 { slot = (slot + 1) & mask }
    return slot
  }

  private mutating func makeNode() -> Int32 {
    ends.append(-1)
    return Int32(ends.count - 1)
  }

  private mutating func grow() {
    let old = edges
    edges = Array(repeating: Edge(), count: 4 * old.count)
    for edge in old where edge.key != 0 { edges[position(of: edge.key)] = edge }
  }
}
