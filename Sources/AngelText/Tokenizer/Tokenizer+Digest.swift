import AngelCore

extension Tokenizer {
  /// A digest of what every id means: equal for tokenizers whose tokens may be mixed. It tells mistakes apart, not
  /// forgeries.
  public var digest: String {
    var digest = SpellingDigest()
    digest.add(spellings)
    return digest.text
  }
}

extension TokenizerDescription {
  /// A digest of all that tokens and texts follow from: spellings, kinds and roles, merges or scores, how text is
  /// rewritten, cut and put together again. Equal ones encode every text alike. It tells mistakes apart, not forgeries.
  public var digest: String {
    var digest = SpellingDigest()
    digest.add(tokens)
    digest.add(kinds.map(\.rawValue))
    digest.add(JSONValue.object(JSONObject(stepMembers)).encoded().utf8)
    let roles = [beginToken, endToken, paddingToken, unknownToken]
    digest.add("\(roles) \(prefix) \(suffix)".utf8)
    switch model {
    case .bytePairs(let rules):
      digest.add(
        "bytePairs \(rules.ignoresMerges) \(rules.fusesUnknowns) \(rules.fallsBackToBytes) \(rules.unknownToken ?? -1)"
          .utf8)
      digest.add(rules.merges)
    case .scoredPairs(let rules):
      digest.add("scoredPairs \(rules.fallsBackToBytes) \(rules.unknownToken ?? -1)".utf8)
      for score in rules.scores { digest.add(word: UInt64(score.bitPattern)) }
    case .unigram(let rules):
      digest.add(
        """
        unigram \(rules.fallsBackToBytes) \(rules.fusesUnknowns) \(rules.usesSinglePrecision) \
        \(rules.unknownToken ?? -1) \(rules.unknownScore)
        """.utf8)
      for score in rules.scores { digest.add(word: score.bitPattern) }
    case .wordPiece(let rules):
      digest.add("wordPiece \(rules.unknownToken) \(rules.longestWord) \(rules.continuationPrefix)".utf8)
    }
    return digest.text
  }
}

/// FNV-1a over entries, twice with different beginnings.
private struct SpellingDigest {
  private var first = FNV1a()
  private var second: UInt64 = 0x6C62_272E_07BB_0142

  mutating func add(_ entries: StringTable) {
    for index in 0..<entries.count { add(entries[index]) }
  }

  /// An entry; that it ends here counts.
  mutating func add(_ entry: some Sequence<UInt8>) {
    for byte in entry {
      first.mix(byte)
      second = (second &+ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C15 ^ second >> 29
    }
    first.mix(0xFF as UInt8)
  }

  mutating func add(word: UInt64) {
    withUnsafeBytes(of: word.littleEndian) { add($0) }
  }

  var text: String { String(first.value, radix: 16) + "-" + String(second, radix: 16) }
}
