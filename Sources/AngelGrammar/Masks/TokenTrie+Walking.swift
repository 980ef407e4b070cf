extension TokenTrie {
  /// Allows the tokens that may follow a state.
  ///
  /// - Parameters:
  ///   - horizon: tokens of more bytes are not decided, but for those that die before.
  ///   - open: the tokens that are not decided by what is known of the state are added to it, in the order of their bytes.
  func walk(
    from start: Int32, horizon: Int = .max, _ states: inout ParseStates, allowed: inout TokenMask, open: inout [Int32]
  ) {
    // The states along the path to a node, and whether one of them may leave what is known.
    var path = [Int32](repeating: ParseStates.dead, count: longest + 1)
    var leaves = [Bool](repeating: false, count: longest + 1)
    path[0] = start
    var node = 0
    while node < bytes.count {
      let depth = Int(depths[node])
      let next = states.next(path[depth - 1], bytes[node])
      if next == ParseStates.dead || depth > horizon {
        let end = Int(ends[node])
        if leaves[depth - 1] || next != ParseStates.dead {
          open += tokens[Int(firsts[node])..<Int(firsts[end])]
        }
        node = end
        continue
      }
      path[depth] = next
      leaves[depth] = leaves[depth - 1] || states.leavesKnown(next)
      for place in Int(firsts[node])..<Int(firsts[node + 1]) { allowed.allow(Int(tokens[place])) }
      node += 1
    }
  }

  /// Allows the tokens that may follow a state of which everything is known.
  func walk(from start: Int32, _ states: inout ParseStates, allowed: inout TokenMask) {
    var open: [Int32] = []
    walk(from: start, &states, allowed: &allowed, open: &open)
  }
}
