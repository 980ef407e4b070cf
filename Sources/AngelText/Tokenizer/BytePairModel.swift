import AngelCore

/// The model of a byte-pair encoding by merges: letters and merges. Immutable, shared by all encodes.
final class BytePairModel: Sendable {
  /// What a letter is.
  enum Letters: Sendable {
    /// Bytes, spelled in the byte alphabet: the token of each, -1 where the vocabulary has none.
    case bytes([Int32])
    /// Characters, looked up by their spelling; the tokens of ASCII characters are at hand.
    case characters(ascii: [Int32])
  }

  let letters: Letters
  let merges: MergeTable
  /// Tokens by spelling.
  let index: SpellingIndex
  let spellings: StringTable
  let ignoresMerges: Bool
  let unknownToken: Int32?
  let fusesUnknowns: Bool
  let byteTokens: ByteTokens?
  /// Where a piece may be cut before it is merged.
  let cuts: MarkerCuts?

  /// Resolves the merges of `rules` to the ids of `vocabulary`.
  init(_ rules: BytePairRules, isByteLevel: Bool, _ vocabulary: Vocabulary) throws(TokenizerError) {
    letters = isByteLevel ? .bytes(Self.byteLetters(vocabulary)) : .characters(ascii: Self.asciiLetters(vocabulary))
    merges = try MergeTable(rules.merges, vocabulary)
    index = vocabulary.index
    spellings = vocabulary.spellings
    ignoresMerges = rules.ignoresMerges
    unknownToken = rules.unknownToken
    fusesUnknowns = rules.fusesUnknowns
    byteTokens = rules.fallsBackToBytes ? ByteTokens(vocabulary) : nil
    cuts = isByteLevel || rules.ignoresMerges ? nil : MarkerCuts(vocabulary)
  }

  private static func byteLetters(_ vocabulary: Vocabulary) -> [Int32] {
    var result = [Int32](repeating: -1, count: 256)
    for (scalar, byte) in ByteAlphabet.bytes.enumerated() where byte >= 0 {
      guard let letter = UnicodeScalar(UInt32(scalar)) else { continue }
      let spelling = UTF8.encode(letter) ?? UTF8.encodedReplacementCharacter
      result[Int(byte)] = vocabulary.index.find(spelling, in: vocabulary.spellings) ?? -1
    }
    return result
  }

  private static func asciiLetters(_ vocabulary: Vocabulary) -> [Int32] {
    (0..<128).map { vocabulary.index.find(CollectionOfOne(UInt8($0)), in: vocabulary.spellings) ?? -1 }
  }

  /// The token that a whole piece is, where merges are ignored for those; `spelling` is scratch memory.
  func wholeToken(_ piece: UnsafeBufferPointer<UInt8>, _ spelling: inout [UInt8]) -> Int32? {
    guard ignoresMerges else { return nil }
    guard case .bytes = letters else { return spellings.withEntries { index.find(piece, in: $0) } }
    spelling.removeAll(keepingCapacity: true)
    ByteAlphabet.encode(piece, into: &spelling)
    return spelling.withUnsafeBufferPointer { spelling in spellings.withEntries { index.find(spelling, in: $0) } }
  }

  /// Sets `symbols` to the letters of `piece`.
  func spell(_ piece: UnsafeBufferPointer<UInt8>, into symbols: inout [Int32]) {
    symbols.removeAll(keepingCapacity: true)
    switch letters {
    case .bytes(let letters): spellBytes(piece, letters, into: &symbols)
    case .characters(let ascii): spellings.withEntries { spellCharacters(piece, ascii, $0, into: &symbols) }
    }
  }

  private func spellBytes(_ piece: UnsafeBufferPointer<UInt8>, _ letters: [Int32], into symbols: inout [Int32]) {
    var previousIsUnknown = false
    for byte in piece {
      let letter = letters[Int(byte)]
      if letter >= 0 {
        symbols.append(letter)
      } else if let unknownToken, !(previousIsUnknown && fusesUnknowns) {
        symbols.append(unknownToken)
      }
      previousIsUnknown = letter < 0
    }
  }

  private func spellCharacters(
    _ piece: UnsafeBufferPointer<UInt8>, _ ascii: [Int32], _ entries: EntryView, into symbols: inout [Int32]
  ) {
    // The reference writes an unknown token down only when the next known letter or the end comes.
    var pending = false
    var position = 0
    while position < piece.count {
      let end = piece.characterEnd(after: position)
      let character = UnsafeBufferPointer(rebasing: piece[position..<end])
      let letter = piece[position] < 0x80 ? ascii[Int(piece[position])] : index.find(character, in: entries) ?? -1
      position = end
      if letter >= 0 {
        if pending, let unknownToken { symbols.append(unknownToken) }
        pending = false
        symbols.append(letter)
      } else if byteTokens?.append(character, to: &symbols) != true, let unknownToken {
        if pending && !fusesUnknowns { symbols.append(unknownToken) }
        pending = true
      }
    }
    if pending, let unknownToken { symbols.append(unknownToken) }
  }
}
