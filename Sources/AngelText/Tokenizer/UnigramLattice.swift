/// Turns one piece into the tokens of the most probable segmentation: Viterbi's algorithm from left to right.
struct UnigramLattice: Sendable {
  /// The best way to an end of the text.
  private struct Node: Sendable {
    var score = 0.0
    /// Where its last token starts, -1 as long as no way leads here.
    var start: Int32 = -1
    /// Its last token, -1 for a character that is none.
    var token: Int32 = -1
  }

  private var nodes: [Node] = []
  /// The tokens and their ends, last first.
  private var path: [(token: Int32, start: Int, end: Int)] = []

  /// Appends the tokens of `piece`.
  mutating func encode(_ piece: UnsafeBufferPointer<UInt8>, with model: UnigramModel, into output: inout [Int32]) {
    nodes.removeAll(keepingCapacity: true)
    nodes.append(contentsOf: repeatElement(Node(), count: piece.count + 1))
    nodes.withUnsafeMutableBufferPointer { nodes in
      var position = 0
      while position < piece.count {
        let end = piece.characterEnd(after: position)
        Self.extend(nodes, piece, model, from: position, characterEnd: end)
        position = end
      }
    }
    trace(piece.count, model)
    for step in path.reversed() {
      write(UnsafeBufferPointer(rebasing: piece[step.start..<step.end]), step.token, model, into: &output)
    }
  }

  @inline(__always)
  private static func extend(
    _ nodes: UnsafeMutableBufferPointer<Node>, _ piece: UnsafeBufferPointer<UInt8>, _ model: UnigramModel,
    from position: Int, characterEnd: Int
  ) {
    let before = nodes[position].score
    func offer(_ token: Int32, _ end: Int, _ score: Double) {
      let sum = model.sum(before, score)
      // The first of equally good ways stays.
      if nodes[end].start < 0 || sum > nodes[end].score {
        nodes[end] = Node(score: sum, start: Int32(position), token: token)
      }
    }
    var hasCharacter = false
    model.tokens.forEachMatch(in: piece, from: position) { token, end in
      offer(token, end, model.scores[Int(token)])
      if end == characterEnd { hasCharacter = true }
    }
    if !hasCharacter { offer(-1, characterEnd, model.unknownScore) }
  }

  /// Sets `path`, unknown characters side by side joined where the model says so.
  private mutating func trace(_ count: Int, _ model: UnigramModel) {
    path.removeAll(keepingCapacity: true)
    var end = count
    while end > 0 {
      let node = nodes[end]
      let isUnknown = node.token < 0 || node.token == model.unknownToken
      if isUnknown, model.fusesUnknowns, let last = path.last, last.token < 0 {
        path[path.count - 1].start = Int(node.start)
      } else {
        path.append((isUnknown ? -1 : node.token, Int(node.start), end))
      }
      end = Int(node.start)
    }
  }

  private func write(
    _ text: UnsafeBufferPointer<UInt8>, _ token: Int32, _ model: UnigramModel, into output: inout [Int32]
  ) {
    if token >= 0 {
      output.append(token)
    } else if let whole = model.tokens.longestMatch(in: text, from: 0), whole.end == text.count {
      // A run of unknown characters may be a token that was too improbable.
      output.append(whole.value)
    } else if model.byteTokens?.append(text, to: &output) != true, let unknown = model.unknownToken {
      output.append(unknown)
    }
  }
}
