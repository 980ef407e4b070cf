import AngelCore

extension ScoredPairRules {
  /// The same pairs as a list of merges: every way to split a piece into two pieces, the highest score first, as the
  /// converters of `transformers` make `tokenizer.json` from SentencePiece models.
  func asMerges(of tokens: StringTable) -> BytePairRules {
    var rules = BytePairRules(merges: merges(of: tokens))
    rules.unknownToken = unknownToken
    rules.fusesUnknowns = true
    rules.fallsBackToBytes = fallsBackToBytes
    return rules
  }

  private func merges(of tokens: StringTable) -> StringTable {
    let index = SpellingIndex(tokens) { _ in true }
    var found: [(token: Int, left: Int32, right: Int32)] = []
    for token in 0..<tokens.count {
      let bytes = Array(tokens[token])
      var splits: [(left: Int32, right: Int32)] = []
      // Cuts stand between characters, never inside one.
      for cut in 1..<max(bytes.count, 1) where bytes[cut] & 0xC0 != 0x80 {
        guard let left = index.find(bytes[..<cut], in: tokens), let right = index.find(bytes[cut...], in: tokens) else {
          continue
        }
        splits.append((left, right))
      }
      splits.sort { ($0.left, $0.right) < ($1.left, $1.right) }
      found += splits.map { (token, $0.left, $0.right) }
    }
    // Stable: pieces of one score keep their order, and so do the splits of a piece.
    let order = found.indices.sorted { a, b in
      let (first, second) = (scores[found[a].token], scores[found[b].token])
      return first != second ? first > second : a < b
    }
    var merges = StringTable()
    for place in order {
      merges.append(
        Array(tokens[Int(found[place].left)]) + [UInt8(ascii: " ")] + Array(tokens[Int(found[place].right)]))
    }
    return merges
  }
}
