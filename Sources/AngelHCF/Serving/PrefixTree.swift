import AngelMemory

/// Which cache blocks hold the keys and values of which tokens: a radix tree whose edges are 16 tokens, so that a path from
/// the root is the beginning of a text (after SGLang's RadixAttention, arXiv:2312.07104 §3).
///
/// Tokens are compared in full, so nothing is taken for something else. Blocks that no sequence uses wait in the order in
/// which they fell out of use, ends of paths first, and are given up from the front. All steps take O(1) a block.
struct PrefixTree {
  /// A place in the tree; never used again for another.
  struct NodeID: Hashable { fileprivate let number: UInt64 }

  private struct Edge: Hashable {
    let parent: NodeID
    let tokens: SIMD16<Int32>
  }

  private struct Node {
    let edge: Edge
    let block: BlockIndex
    var children: Set<NodeID> = []
    /// Neighbours in the line of the unused.
    var earlier: NodeID?
    var later: NodeID?
    var isUnused = false
  }

  static let root = NodeID(number: 0)
  private var nodes: [NodeID: Node] = [:]
  private var edges: [Edge: NodeID] = [:]
  private var places: [BlockIndex: NodeID] = [:]
  private var nextNumber: UInt64 = 1
  private var oldest: NodeID?
  private var newest: NodeID?
  /// Blocks in the tree that no sequence uses.
  private(set) var unusedCount = 0

  /// The block at a place, nil once it has been given up.
  func block(at id: NodeID) -> BlockIndex? { nodes[id]?.block }

  /// Where a block is in the tree.
  func place(of block: BlockIndex) -> NodeID? { places[block] }

  /// The longest path whose tokens begin the first `count` of `tokens`, whole blocks only.
  func path(of tokens: [Int32], count: Int) -> [NodeID] {
    var path: [NodeID] = []
    var place = Self.root
    for start in stride(from: 0, through: count - 16, by: 16) {
      guard let next = edges[Edge(parent: place, tokens: Self.key(tokens, start))] else { break }
      path.append(next)
      place = next
    }
    return path
  }

  /// Enters a block, in use, with tokens `start` ..< `start + 16` of `tokens` below `parent`; returns the place of these
  /// tokens, which may hold another block already. Nil where the parent is gone.
  mutating func insert(_ block: BlockIndex, _ tokens: [Int32], from start: Int, below parent: NodeID) -> NodeID? {
    guard parent == Self.root || nodes[parent] != nil else { return nil }
    let edge = Edge(parent: parent, tokens: Self.key(tokens, start))
    if let known = edges[edge] { return known }
    let id = NodeID(number: nextNumber)
    nextNumber += 1
    nodes[id] = Node(edge: edge, block: block)
    edges[edge] = id
    places[block] = id
    nodes[parent]?.children.insert(id)
    return id
  }

  /// Says that a sequence uses a block that none used.
  mutating func markUsed(_ id: NodeID) {
    guard let node = nodes[id], node.isUnused else { return }
    unlink(id, node)
  }

  /// Says that nobody uses a block any more: it goes to the end of the line.
  mutating func markUnused(_ id: NodeID) {
    guard let node = nodes[id], !node.isUnused else { return }
    nodes[id]?.isUnused = true
    nodes[id]?.earlier = newest
    if let newest { nodes[newest]?.later = id } else { oldest = id }
    newest = id
    unusedCount += 1
  }

  /// Removes the block that has been out of use for longest, and what hangs below it; returns the blocks that the tree no
  /// longer holds, the first of them unused. Nil when every block is in use.
  mutating func removeOldest() -> [BlockIndex]? {
    guard let oldest else { return nil }
    // As a rule nothing hangs below: a sequence that uses a block uses all before it. Windows are the exception.
    var removed: [BlockIndex] = []
    var pending = [oldest]
    while let id = pending.popLast() {
      guard let node = nodes[id] else { continue }
      if node.isUnused { unlink(id, node) }
      pending += node.children
      nodes[id] = nil
      edges[node.edge] = nil
      places[node.block] = nil
      nodes[node.edge.parent]?.children.remove(id)
      removed.append(node.block)
    }
    return removed
  }

  private mutating func unlink(_ id: NodeID, _ node: Node) {
    if let earlier = node.earlier { nodes[earlier]?.later = node.later } else { oldest = node.later }
    if let later = node.later { nodes[later]?.earlier = node.earlier } else { newest = node.earlier }
    nodes[id]?.earlier = nil
    nodes[id]?.later = nil
    nodes[id]?.isUnused = false
    unusedCount -= 1
  }

  private static func key(_ tokens: [Int32], _ start: Int) -> SIMD16<Int32> {
    var key = SIMD16<Int32>()
    for lane in 0..<16 { key[lane] = tokens[start + lane] }
    return key
  }

  /// Every block in the tree and whether it is in the line of the unused, for checks.
  var contents: [(block: BlockIndex, isUnused: Bool)] { nodes.values.map { ($0.block, $0.isUnused) } }

  /// Throws when links contradict each other.
  func checkInvariants() throws(MemoryError) {
    guard edges.count == nodes.count, places.count == nodes.count else {
      throw .invariant("\(nodes.count) nodes, \(edges.count) edges, \(places.count) places")
    }
    for (id, node) in nodes {
      guard edges[node.edge] == id, places[node.block] == id else { throw .invariant("a node without its edge") }
      let parent = node.edge.parent
      guard parent == Self.root || nodes[parent]?.children.contains(id) == true else {
        throw .invariant("a node without its parent")
      }
    }
    var (line, place, earlier) = (0, oldest, NodeID?.none)
    while let id = place, let node = nodes[id], line <= nodes.count {
      guard node.isUnused, node.earlier == earlier else { throw .invariant("the line of the unused is broken") }
      (line, earlier, place) = (line + 1, id, node.later)
    }
    guard line == unusedCount, newest == earlier, nodes.values.count(where: \.isUnused) == line else {
      throw .invariant("\(line) nodes in the line of \(unusedCount) unused")
    }
  }
}
