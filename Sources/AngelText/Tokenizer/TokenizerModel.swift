public import AngelCore

/// How a piece of text becomes tokens, with what each way needs beyond the vocabulary.
public enum TokenizerModel: Sendable, Hashable {
  /// Byte-pair encoding by a list of merges (Sennrich et al. 2016, arXiv:1508.07909).
  case bytePairs(BytePairRules)
  /// SentencePiece's byte-pair encoding: neighbours that make a token merge, the highest score first.
  case scoredPairs(ScoredPairRules)
  /// The most probable segmentation (Kudo 2018, arXiv:1804.10959).
  case unigram(UnigramRules)
  /// The longest token first, words that do not come out whole unknown (Devlin et al. 2018, arXiv:1810.04805).
  case wordPiece(WordPieceRules)
}

/// What a byte-pair encoding by merges needs.
public struct BytePairRules: Sendable, Hashable {
  /// The merges in order of rank, each `left right` with one space.
  public var merges: StringTable
  /// Whether a piece that is a whole token becomes that token even where merges would not build it.
  public var ignoresMerges = false
  /// Stands for letters that are not in the vocabulary; without it they are dropped, as the reference does.
  public var unknownToken: Int32?
  /// Whether a run of unknown letters becomes one token.
  public var fusesUnknowns = false
  /// Whether an unknown letter becomes the tokens `<0x00>` to `<0xFF>` of its bytes, where the vocabulary has them.
  public var fallsBackToBytes = false

  public init(merges: StringTable) { self.merges = merges }
}

/// What SentencePiece's byte-pair encoding needs.
public struct ScoredPairRules: Sendable, Hashable {
  /// A finite score per token.
  public var scores: [Float]
  /// Stands for a run of characters that are not in the vocabulary; without it they are dropped.
  public var unknownToken: Int32?
  /// Whether a character that is not in the vocabulary becomes the tokens `<0x00>` to `<0xFF>` of its bytes.
  public var fallsBackToBytes = true

  public init(scores: [Float]) { self.scores = scores }
}

/// What a unigram model needs.
public struct UnigramRules: Sendable, Hashable {
  /// A finite score per token: the logarithm of its probability.
  public var scores: [Double]
  /// Stands for characters that are no token; without it they are dropped.
  public var unknownToken: Int32?
  /// The score of a character that is no token.
  public var unknownScore: Double
  /// Whether a run of unknown characters becomes one token.
  public var fusesUnknowns = true
  /// Whether an unknown run becomes the tokens `<0x00>` to `<0xFF>` of its bytes, where the vocabulary has them.
  public var fallsBackToBytes = false
  /// Whether sums of scores are rounded to 32 bits as SentencePiece does; `tokenizers` keeps 64.
  public var usesSinglePrecision = false

  /// What an unknown character costs beyond the least probable token, in both reference libraries.
  static let unknownPenalty = 10.0

  public init(scores: [Double]) {
    self.scores = scores
    unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
  }
}

/// What a WordPiece model needs.
public struct WordPieceRules: Sendable, Hashable {
  /// Stands for a word that does not come out whole.
  public var unknownToken: Int32
  /// Begins the tokens that continue a word.
  public var continuationPrefix = "##"
  /// A word of more characters is unknown.
  public var longestWord = 100

  public init(unknownToken: Int32) { self.unknownToken = unknownToken }
}
