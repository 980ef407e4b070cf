public import AngelCore

extension TokenizerDescription {
  /// A WordPiece vocabulary as GGUF files spell it: tokens that begin a word start with U+2581, those that continue one
  /// have no prefix, special ones stand as they are.
  ///
  /// `beginToken` and `endToken` are put around a text.
  public init(
    phantomSpaceTokens tokens: StringTable, kinds: [TokenKind], normalization: BertNormalization, unknownToken: Int32,
    beginToken: Int32?, endToken: Int32?, paddingToken: Int32?
  ) {
    self.init(
      tokens: Self.wordPieces(tokens, kinds), kinds: kinds,
      model: .wordPiece(WordPieceRules(unknownToken: unknownToken)),
      normalizers: [.bert(normalization)], preTokenizer: [.bert],
      decoder: [.wordPiece(prefix: "##", cleaningUp: true)])
    addTokensFoundInText()
    self.unknownToken = unknownToken
    self.beginToken = beginToken
    self.endToken = endToken
    self.paddingToken = paddingToken
    prefix = beginToken.map { [$0] } ?? []
    suffix = endToken.map { [$0] } ?? []
  }

  /// The token that stands for a word to be guessed, where a vocabulary of BERT's kind has it.
  public var maskToken: Int32? { addedTokens.first { $0.content == "[MASK]" }?.id }

  /// The tokens as GGUF files spell a WordPiece vocabulary: the inverse of what `init(phantomSpaceTokens:…)` does.
  public func phantomSpaceTokens(continuation prefix: String) -> StringTable {
    let continuation = Array(prefix.utf8)
    var result = StringTable()
    result.reserve(entries: tokens.count, byteCount: tokens.bytes.count + 2 * tokens.count)
    for token in 0..<tokens.count {
      let spelling = tokens[token]
      if spelling.isEmpty || token < kinds.count && kinds[token].isFoundInText {
        result.append(spelling)
      } else if spelling.starts(with: continuation) {
        result.append(spelling.dropFirst(continuation.count))
      } else {
        result.append(MarkerCuts.marker + spelling)
      }
    }
    return result
  }

  /// The tokens as BERT's vocabulary files spell them.
  private static func wordPieces(_ tokens: StringTable, _ kinds: [TokenKind]) -> StringTable {
    let marker = MarkerCuts.marker
    let continuation = Array("##".utf8)
    var result = StringTable()
    result.reserve(entries: tokens.count, byteCount: tokens.bytes.count + tokens.count)
    for token in 0..<tokens.count {
      let spelling = tokens[token]
      let isNamed = spelling.count > 2 && spelling.first == UInt8(ascii: "[") && spelling.last == UInt8(ascii: "]")
      if spelling.starts(with: marker) {
        result.append(spelling.dropFirst(marker.count))
      } else if isNamed || spelling.isEmpty || token < kinds.count && kinds[token].isFoundInText {
        result.append(spelling)
      } else {
        result.append(continuation + spelling)
      }
    }
    return result
  }
}
