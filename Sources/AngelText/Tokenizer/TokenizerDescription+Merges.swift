import AngelCore

extension TokenizerDescription {
  /// Pairs by score as a list of merges: every way to split a piece into two pieces, the highest score first, as the
  /// converters of `transformers` make `tokenizer.json` from SentencePiece models.
  ///
  /// Pieces that text cannot become are left out, and so are those with spaces, since text has markers instead.
  func merges(of rules: ScoredPairRules) -> BytePairRules {
    var result = BytePairRules(merges: tokens.withEntries { merges(of: rules, $0) })
    result.unknownToken = rules.unknownToken
    result.fusesUnknowns = true
    result.fallsBackToBytes = rules.fallsBackToBytes
    return result
  }

  private func merges(of rules: ScoredPairRules, _ entries: EntryView) -> StringTable {
    var found: [(token: Int, pair: TokenPair)] = []
    let splitter = PieceSplitter(self) { !entries[$0].contains(UInt8(ascii: " ")) }
    for token in 0..<entries.count {
      var pairs = splitter.pairs(of: token, entries)
      pairs.sort { ($0.left, $0.right) < ($1.left, $1.right) }
      for pair in pairs { found.append((token, pair)) }
    }
    // Stable: pieces of one score keep their order, and so do the splits of a piece.
    let order = found.indices.sorted { a, b in
      let (first, second) = (rules.scores[found[a].token], rules.scores[found[b].token])
      return first != second ? first > second : a < b
    }
    var merges = StringTable()
    var merge: [UInt8] = []
    for place in order {
      merge.removeAll(keepingCapacity: true)
      merge.append(contentsOf: entries[Int(found[place].pair.left)])
      merge.append(UInt8(ascii: " "))
      merge.append(contentsOf: entries[Int(found[place].pair.right)])
      merges.append(merge)
    }
    return merges
  }
}

/// Two tokens side by side.
struct TokenPair: Hashable {
  var left: Int32
  var right: Int32
}

/// Finds the ways to split a piece of a vocabulary into two pieces that text may become.
struct PieceSplitter {
  private let index: SpellingIndex
  private let isPiece: [Bool]

  /// Splits into the normal and user-defined tokens that `included` accepts.
  init(_ description: TokenizerDescription, including included: (Int) -> Bool = { _ in true }) {
    let kinds = description.kinds
    let isPiece = (0..<description.tokens.count).map {
      (kinds.isEmpty || kinds[$0] == .normal || kinds[$0] == .userDefined) && included($0)
    }
    index = SpellingIndex(description.tokens) { isPiece[$0] }
    self.isPiece = isPiece
  }

  func pairs(of token: Int, _ entries: EntryView) -> [TokenPair] {
    guard isPiece[token], entries[token].count > 1 else { return [] }
    let bytes = entries[token]
    var pairs: [TokenPair] = []
    // Cuts stand between characters, never inside one.
    for cut in 1..<bytes.count where bytes[cut] & 0xC0 != 0x80 {
      guard let left = index.find(UnsafeBufferPointer(rebasing: bytes[..<cut]), in: entries),
        let right = index.find(UnsafeBufferPointer(rebasing: bytes[cut...]), in: entries)
      else { continue }
      pairs.append(TokenPair(left: left, right: right))
    }
    return pairs
  }
}
