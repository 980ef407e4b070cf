import AngelMemory

/// Which cache blocks hold the keys and values of which tokens: a radix tree whose edges are 16 tokens, so that a path from
/// the root is the beginning of a text (after SGLang's RadixAttention, arXiv:2312.07104 §3).
///
/// Tokens are compared in full, so nothing is taken for something else. Blocks that no sequence uses wait in the order in
/// which they fell out of use, ends of paths first, and are given up from the front. All steps take O(1) a block.
///
/// A place may have local blocks beside its block, those of windowed layers, which fall out of use on their own while the
/// place remains: sequences that go on from it use them only within the window.
struct PrefixTree {
  /// A place in the tree; never used again for another.
  struct NodeID: Hashable {
    fileprivate let number: UInt64
    fileprivate var isRoot = false
  }

  private struct Edge: Hashable {
    let parent: NodeID
    let tokens: SIMD16<Int32>
  }

  private struct Node {
    let edge: Edge
    let block: BlockIndex
    /// Empty where there are none, or none any more.
    var locals: [BlockIndex]
    var children: Set<NodeID> = []
  }

  /// Where texts begin that are read with the adapter of this key, 0 for none: what one makes of a text is nobody else's.
  static func root(_ key: UInt64 = 0) -> NodeID { NodeID(number: key, isRoot: true) }

  private var nodes: [NodeID: Node] = [:]
  private var edges: [Edge: NodeID] = [:]
  private var places: [BlockIndex: NodeID] = [:]
  private var nextNumber: UInt64 = 1
  /// Places whose blocks no sequence uses, and places whose local blocks none uses.
  private var unused = UnusedLine<NodeID>()
  private var unusedLocals = UnusedLine<NodeID>()
  private var time: UInt64 = 0
  /// Local blocks of a place that has any.
  private let localCount: Int

  /// - Parameter localCount: local blocks beside each block.
  init(localCount: Int = 0) { self.localCount = localCount }

  /// Blocks in the tree that no sequence uses.
  var unusedCount: Int { unused.count + localCount * unusedLocals.count }

  /// The block at a place, nil once it has been given up.
  func block(at id: NodeID) -> BlockIndex? { nodes[id]?.block }

  /// The local blocks at a place, empty once they have been given up.
  func locals(at id: NodeID) -> [BlockIndex] { nodes[id]?.locals ?? [] }

  /// Where a block or a local block is in the tree.
  func place(of block: BlockIndex) -> NodeID? { places[block] }

  /// The longest path below `root` whose tokens begin the first `count` of `tokens`, whole blocks only.
  func path(of tokens: [Int32], count: Int, below root: NodeID) -> [NodeID] {
    var path: [NodeID] = []
    var place = root
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
    guard parent.isRoot || nodes[parent] != nil else { return nil }
    let edge = Edge(parent: parent, tokens: Self.key(tokens, start))
    if let known = edges[edge] { return known }
    let id = NodeID(number: nextNumber)
    nextNumber += 1
    nodes[id] = Node(edge: edge, block: block, locals: [])
    edges[edge] = id
    places[block] = id
    nodes[parent]?.children.insert(id)
    return id
  }

  /// Enters local blocks, in use, at a place that has none.
  mutating func insert(locals: [BlockIndex], at id: NodeID) {
    nodes[id]?.locals = locals
    for block in locals { places[block] = id }
  }

  /// Says that a sequence uses a block that none used.
  mutating func markUsed(_ id: NodeID) { unused.remove(id) }
  mutating func markLocalsUsed(_ id: NodeID) { unusedLocals.remove(id) }

  /// Says that nobody uses a block any more: it goes to the end of the line.
  mutating func markUnused(_ id: NodeID) {
    time += 1
    unused.append(id, time: time)
  }
  mutating func markLocalsUnused(_ id: NodeID) {
    time += 1
    unusedLocals.append(id, time: time)
  }

  /// Removes what has been out of use for longest, with a block what hangs below it; returns the blocks that the tree no
  /// longer holds, the first of them unused. Nil when every block is in use.
  mutating func removeOldest() -> [BlockIndex]? {
    if let id = unusedLocals.oldest, (unusedLocals.oldestTime ?? 0) < unused.oldestTime ?? .max {
      return removeLocals(at: id)
    }
    guard let oldest = unused.oldest else { return nil }
    // As a rule nothing hangs below: a sequence that uses a block uses all before it. Windows are the exception.
    var removed: [BlockIndex] = []
    var pending = [oldest]
    while let id = pending.popLast() {
      guard let node = nodes[id] else { continue }
      unused.remove(id)
      pending += node.children
      removed.append(node.block)
      removed += removeLocals(at: id)
      nodes[id] = nil
      edges[node.edge] = nil
      places[node.block] = nil
      nodes[node.edge.parent]?.children.remove(id)
    }
    return removed
  }

  private mutating func removeLocals(at id: NodeID) -> [BlockIndex] {
    let locals = nodes[id]?.locals ?? []
    unusedLocals.remove(id)
    nodes[id]?.locals = []
    for block in locals { places[block] = nil }
    return locals
  }

  private static func key(_ tokens: [Int32], _ start: Int) -> SIMD16<Int32> {
    var key = SIMD16<Int32>()
    for lane in 0..<16 { key[lane] = tokens[start + lane] }
    return key
  }

  /// Every block in the tree and whether it is in the line of the unused, for checks.
  var contents: [(block: BlockIndex, isUnused: Bool)] {
    nodes.flatMap { id, node in
      [(node.block, unused.contains(id))] + node.locals.map { ($0, unusedLocals.contains(id)) }
    }
  }

  /// Throws when links contradict each other.
  func checkInvariants() throws(MemoryError) {
    let locals = nodes.values.reduce(0) { $0 + $1.locals.count }
    guard edges.count == nodes.count, places.count == nodes.count + locals else {
      throw .invariant("\(nodes.count) nodes, \(locals) local blocks, \(edges.count) edges, \(places.count) places")
    }
    for (id, node) in nodes {
      guard edges[node.edge] == id, ([node.block] + node.locals).allSatisfy({ places[$0] == id }) else {
        throw .invariant("a node without its edge")
      }
      let parent = node.edge.parent
      guard parent.isRoot || nodes[parent]?.children.contains(id) == true else {
        throw .invariant("a node without its parent")
      }
      guard node.locals.isEmpty || node.locals.count == localCount else {
        throw .invariant("\(node.locals.count) local blocks of \(localCount)")
      }
      guard !unusedLocals.contains(id) || !node.locals.isEmpty else { throw .invariant("no local blocks in the line") }
      guard !unused.contains(id) || node.locals.isEmpty || unusedLocals.contains(id) else {
        throw .invariant("local blocks in use at an unused place")
      }
    }
    guard unused.isConsistent, unusedLocals.isConsistent else { throw .invariant("the line of the unused is broken") }
  }
}
