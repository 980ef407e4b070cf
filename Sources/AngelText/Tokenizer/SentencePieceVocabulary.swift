public import AngelCore

/// A SentencePiece model's vocabulary and settings, whatever container they came in.
public struct SentencePieceVocabulary: Sendable, Hashable {
  /// How the model cuts a text.
  public enum Algorithm: Sendable, Hashable { case bytePairs, unigram }

  public var algorithm: Algorithm
  /// The pieces by id, spaces written as U+2581; in user-defined ones they may be spaces.
  public var tokens: StringTable
  /// What each piece is; empty means all normal.
  public var kinds: [TokenKind]
  /// A score per piece.
  public var scores: [Float]
  /// A compiled table of character replacements; empty for none.
  public var characterMap: [UInt8] = []
  /// Whether a space is put before each stretch of text between special tokens.
  public var addsSpacePrefix = true
  /// Whether spaces at the ends are dropped, and runs of them become one.
  public var removesExtraSpaces = false
  /// Whether characters that are no piece become byte pieces.
  public var fallsBackToBytes = true
  /// Pieces by role, where the file names them.
  public var beginToken: Int32?
  public var endToken: Int32?
  public var paddingToken: Int32?
  public var unknownToken: Int32?

  public init(_ algorithm: Algorithm, tokens: StringTable, kinds: [TokenKind], scores: [Float]) {
    self.algorithm = algorithm
    self.tokens = tokens
    self.kinds = kinds
    self.scores = scores
  }
}

extension TokenizerDescription {
  /// A SentencePiece model.
  ///
  /// Control, unknown and user-defined pieces are found in the text before anything else, so that a chat template may
  /// write them; `addsBeginToken` and `addsEndToken` put the roles' tokens around a text. Throws for a damaged character
  /// map.
  public init(
    _ vocabulary: SentencePieceVocabulary, addsBeginToken: Bool, addsEndToken: Bool
  ) throws(TokenizerError) {
    self.init(
      tokens: vocabulary.tokensWithSpaces, kinds: vocabulary.kinds, model: vocabulary.model,
      normalizers: try vocabulary.normalizers, preTokenizer: [], decoder: vocabulary.decoder)
    addTokensFoundInText()
    beginToken = vocabulary.beginToken
    endToken = vocabulary.endToken
    paddingToken = vocabulary.paddingToken
    unknownToken = vocabulary.unknownToken
    if addsBeginToken, let beginToken { prefix = [beginToken] }
    if addsEndToken, let endToken { suffix = [endToken] }
  }
}

extension TokenizerDescription {
  /// A SentencePiece model with what `tokenizer_config.json` says: roles, `add_bos_token`, `add_eos_token`, and the tokens
  /// of `added_tokens_decoder`. Without the flags, byte-pair models begin a text and unigram models end it, as the classes
  /// of `transformers` do.
  public init(
    _ vocabulary: SentencePieceVocabulary, tokenizerConfiguration: JSONValue?
  ) throws(TokenizerError) {
    let isUnigram = vocabulary.algorithm == .unigram
    try self.init(
      vocabulary, addsBeginToken: try tokenizerConfiguration?.flag("add_bos_token") ?? !isUnigram,
      addsEndToken: try tokenizerConfiguration?.flag("add_eos_token") ?? isUnigram)
    guard let tokenizerConfiguration, !tokenizerConfiguration.isNull else { return }
    let (begins, ends) = (!prefix.isEmpty, !suffix.isEmpty)
    try addTokens(tokenizerConfiguration["added_tokens_decoder"])
    try readRoles(tokenizerConfiguration)
    prefix = begins ? beginToken.map { [$0] } ?? [] : []
    suffix = ends ? endToken.map { [$0] } ?? [] : []
  }
}

extension SentencePieceVocabulary {
  private static let marker = "\u{2581}"

  /// The pieces, user-defined ones with the spaces that they stand for, because those are looked for in the text as given.
  fileprivate var tokensWithSpaces: StringTable {
    let marked = kinds.indices.filter {
      kinds[$0] == .userDefined && $0 < tokens.count && tokens.string($0).contains(Self.marker)
    }
    guard !marked.isEmpty else { return tokens }
    var result = StringTable()
    result.reserve(entries: tokens.count, byteCount: tokens.bytes.count)
    var next = marked[...]
    for token in 0..<tokens.count {
      if next.first == token {
        result.append(tokens.string(token).replacingMarkers(Self.marker).utf8)
        next.removeFirst()
      } else {
        result.append(tokens[token])
      }
    }
    return result
  }

  fileprivate var model: TokenizerModel {
    switch algorithm {
    case .bytePairs:
      var rules = ScoredPairRules(scores: scores)
      rules.unknownToken = unknownToken
      rules.fallsBackToBytes = fallsBackToBytes
      return .scoredPairs(rules)
    case .unigram:
      var rules = UnigramRules(scores: scores.map(Double.init))
      rules.unknownToken = unknownToken
      rules.fallsBackToBytes = fallsBackToBytes
      rules.usesSinglePrecision = true
      // The penalty is below the least probable piece that text may become.
      var least = Float.infinity
      for (token, score) in scores.enumerated() where kinds.isEmpty || kinds.count > token && kinds[token] == .normal {
        least = min(least, score)
      }
      rules.unknownScore = Double((least.isFinite ? least : 0) - Float(UnigramRules.unknownPenalty))
      return .unigram(rules)
    }
  }

  fileprivate var normalizers: [NormalizerStep] {
    get throws(TokenizerError) {
      var steps: [NormalizerStep] = []
      if !characterMap.isEmpty {
        steps.append(.characterMap(try CharacterMap(parsing: characterMap, goesByGraphemes: false)))
      }
      if removesExtraSpaces {
        steps.append(.replace(.expression(#"\A +| +\z"#), with: ""))
        steps.append(.replace(.expression(" {2,}"), with: " "))
      }
      if addsSpacePrefix { steps.append(.prepend(Self.marker)) }
      steps.append(.replace(.literal(" "), with: Self.marker))
      return steps
    }
  }

  fileprivate var decoder: [DecoderStep] {
    let steps: [DecoderStep] = [.replace(.literal(Self.marker), with: " "), .byteFallback, .fuse]
    // Where extra spaces are dropped going in, all at the start are dropped coming out.
    if removesExtraSpaces { return steps + [.strip(" ", start: .max, stop: 0)] }
    return addsSpacePrefix ? steps + [.strip(" ", start: 1, stop: 0)] : steps
  }
}

extension String {
  fileprivate func replacingMarkers(_ marker: String) -> String {
    String(decoding: TextReplacement.replace(Array(marker.utf8), [UInt8(ascii: " ")], in: Array(utf8)), as: UTF8.self)
  }
}
