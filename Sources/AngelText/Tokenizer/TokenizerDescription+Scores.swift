import AngelCore

extension TokenizerDescription {
  /// The scores that make SentencePiece's encoding of a list of merges: the n-th piece that a merge makes has -n, what no
  /// merge makes comes after them, and tokens found in the text have -1000, as converters give them.
  ///
  /// Throws where pairs by score would merge otherwise than the list: a piece's merges must follow one another, and every
  /// split of it into two pieces must be among them.
  func scores(of rules: BytePairRules) throws(TokenizerError) -> [Float] {
    try tokens.withEntries { (entries) throws(TokenizerError) in
      let order = try order(of: rules.merges, entries)
      var scores = [Float](repeating: 0, count: entries.count)
      for (rank, piece) in order.pieces.enumerated() { scores[Int(piece)] = -Float(rank) }
      let made = Set(order.pieces)
      let added = Set(addedTokens.map(\.id))
      var next = order.pieces.count
      let splitter = PieceSplitter(self)
      for token in 0..<entries.count {
        if added.contains(Int32(token)) {
          scores[token] = -1000
          continue
        }
        for pair in splitter.pairs(of: token, entries) where !order.pairs.contains(pair) {
          guard !added.contains(pair.left), !added.contains(pair.right) else { continue }
          let (left, right) = (tokens.string(Int(pair.left)), tokens.string(Int(pair.right)))
          throw .invalid(
            field: "merges", reason: "'\(left) \(right)' is not among them, which a SentencePiece model would merge")
        }
        guard !made.contains(Int32(token)), ByteTokens.byte(entries[token]) == nil else { continue }
        scores[token] = -Float(next)
        next += 1
      }
      return scores
    }
  }

  /// The pieces in the order in which merges make them, and the pairs that merge.
  private func order(
    of merges: StringTable, _ entries: EntryView
  ) throws(TokenizerError) -> (pieces: [Int32], pairs: Set<TokenPair>) {
    let index = SpellingIndex(tokens) { _ in true }
    var pieces: [Int32] = []
    var known: Set<Int32> = []
    var pairs = Set<TokenPair>(minimumCapacity: merges.count)
    for rank in 0..<merges.count {
      let merge = merges[rank]
      guard let cut = merge.firstIndex(of: UInt8(ascii: " ")),
        let left = index.find(merge[..<cut], in: tokens), let right = index.find(merge[(cut + 1)...], in: tokens),
        let piece = index.find(Array(merge[..<cut]) + Array(merge[(cut + 1)...]), in: tokens)
      else {
        throw .invalid(field: "merge \(rank)", reason: "'\(merges.string(rank))' is not two tokens that make a token")
      }
      pairs.insert(TokenPair(left: left, right: right))
      guard pieces.last != piece else { continue }
      guard known.insert(piece).inserted else {
        throw .invalid(
          field: "merge \(rank)",
          reason: "'\(tokens.string(Int(piece)))' is made by merges of different ranks, as no SentencePiece model does")
      }
      pieces.append(piece)
    }
    return (pieces, pairs)
  }
}
