import AngelCore

extension SentencePieceVocabulary {
  /// The SentencePiece model that cuts text as `description` does, for the files that hold such models; kinds and roles
  /// are the description's. Throws naming what these models have no words for.
  public init(_ description: TokenizerDescription) throws(TokenizerError) {
    let steps = try SentencePieceSteps(description)
    let (algorithm, scores, fallsBackToBytes): (Algorithm, [Float], Bool)
    switch description.model {
    case .scoredPairs(let rules):
      (algorithm, scores, fallsBackToBytes) = (.bytePairs, rules.scores, rules.fallsBackToBytes)
    case .bytePairs(let rules):
      (algorithm, scores, fallsBackToBytes) = (.bytePairs, try description.scores(of: rules), rules.fallsBackToBytes)
    case .unigram(let rules):
      (algorithm, scores, fallsBackToBytes) = (.unigram, rules.scores.map { Float($0) }, rules.fallsBackToBytes)
    case .wordPiece:
      throw .unsupported(feature: "model", value: "WordPiece", supported: ["BPE", "Unigram"])
    }
    self.init(algorithm, tokens: description.tokens, kinds: [], scores: scores)
    kinds = description.tokens.withEntries { entries in
      (0..<entries.count).map { token in
        let kind = description.kinds.isEmpty ? .normal : description.kinds[token]
        return kind == .normal && fallsBackToBytes && ByteTokens.byte(entries[token]) != nil ? .byte : kind
      }
    }
    self.fallsBackToBytes = fallsBackToBytes
    characterMap = steps.characterMap
    addsSpacePrefix = steps.addsSpacePrefix
    removesExtraSpaces = steps.removesExtraSpaces
    beginToken = description.beginToken
    endToken = description.endToken
    paddingToken = description.paddingToken
    unknownToken = description.model.unknownToken ?? description.unknownToken
  }
}

/// What a description's steps do to a text, in SentencePiece's words.
///
/// A prefix at the start of a text alone counts as one before each stretch between special tokens, as llama.cpp has it.
private struct SentencePieceSteps {
  var characterMap: [UInt8] = []
  var addsSpacePrefix = false
  var removesExtraSpaces = false
  private var writesMarkers = false
  private static let marker = "\u{2581}"

  init(_ description: TokenizerDescription) throws(TokenizerError) {
    for step in description.normalizers { try read(step) }
    for step in description.preTokenizer { try read(step) }
    guard writesMarkers else {
      throw .unsupported(feature: "pre-tokenizer", value: "none", supported: ["spaces written as U+2581"])
    }
  }

  private mutating func read(_ step: NormalizerStep) throws(TokenizerError) {
    switch step {
    case .characterMap(let map) where characterMap.isEmpty && !writesMarkers: characterMap = map.bytes
    // Written for maps by grapheme clusters; the map itself does this in SentencePiece.
    case .replace(.literal(CharacterMap.lineEnd), _) where characterMap.isEmpty && !writesMarkers: break
    case .prepend(Self.marker): addsSpacePrefix = true
    case .replace(.literal(" "), with: Self.marker): writesMarkers = true
    case .replace(.expression(" {2,}"), with: " "), .replace(.expression(" {2,}"), with: Self.marker),
      .replace(.expression(#"\A +| +\z"#), with: ""), .strip:
      removesExtraSpaces = true
    case .unicode, .prepend, .replace, .lowercase, .stripAccents, .bert, .characterMap:
      throw .unsupported(
        feature: "normalizer", value: "\(step)",
        supported: ["a character map", "spaces written as U+2581", "a U+2581 put first", "extra spaces removed"])
    }
  }

  private mutating func read(_ step: PreTokenizerStep) throws(TokenizerError) {
    switch step {
    case .metaspace(Self.marker, let prefix, _):
      writesMarkers = true
      addsSpacePrefix = addsSpacePrefix || prefix != .never
    case .whitespaceSplit: removesExtraSpaces = true
    // There are no spaces left to cut at.
    case .split(.literal(" "), _, _) where writesMarkers: break
    case .split, .digits, .byteLevel, .whitespace, .punctuation, .metaspace, .bert:
      throw .unsupported(feature: "pre-tokenizer", value: "\(step)", supported: ["Metaspace with U+2581"])
    }
  }
}
