import AngelCore

/// A unigram model's tokens by their prefixes, and what they cost.
final class UnigramModel: Sendable {
  let tokens: ByteTrie
  let scores: [Double]
  let unknownToken: Int32?
  let unknownScore: Double
  let fusesUnknowns: Bool
  let usesSinglePrecision: Bool
  let byteTokens: ByteTokens?

  init(_ rules: UnigramRules, _ vocabulary: Vocabulary) throws(TokenizerError) {
    guard rules.scores.allSatisfy(\.isFinite), rules.unknownScore.isFinite else {
      throw .invalid(field: "scores", reason: "one is not a finite number")
    }
    let scoreCount = rules.scores.count
    tokens = vocabulary.spellings.withEntries { entries in
      // The last of equal spellings counts, as in the reference.
      ByteTrie(entries) { $0 < scoreCount && rules.includes(vocabulary.kinds[$0]) }
    }
    scores = rules.scores
    unknownToken = rules.unknownToken
    unknownScore = rules.unknownScore
    fusesUnknowns = rules.fusesUnknowns
    usesSinglePrecision = rules.usesSinglePrecision
    byteTokens = rules.fallsBackToBytes ? ByteTokens(vocabulary) : nil
  }

  /// One score more on a path.
  @inline(__always)
  func sum(_ path: Double, _ score: Double) -> Double {
    usesSinglePrecision ? Double(Float(path) + Float(score)) : path + score
  }
}

extension UnigramRules {
  /// Whether text may become a token of this kind: in SentencePiece's files only some, in the reference's all.
  fileprivate func includes(_ kind: TokenKind) -> Bool {
    !usesSinglePrecision || kind == .normal || kind == .userDefined
  }
}
