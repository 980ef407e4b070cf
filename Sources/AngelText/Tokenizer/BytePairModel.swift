import AngelCore

/// The model of a byte-level byte-pair encoding: letters, merges and whole pieces. Immutable, shared by all encodes.
struct BytePairModel: Sendable {
  /// The token of each byte, -1 where the vocabulary has none.
  let letters: [Int32]
  let merges: MergeTable
  /// Whole pieces, by bytes; empty unless merges are ignored for them.
  let pieces: SpellingIndex?
  let pieceBytes: StringTable
  let unknownByteToken: Int32?
  let fusesUnknownBytes: Bool

  /// Resolves the merges of `description` to the ids of `vocabulary`.
  init(_ description: TokenizerDescription, _ vocabulary: Vocabulary) throws(TokenizerError) {
    letters = Self.letters(vocabulary)
    merges = try Self.merges(description.merges, vocabulary)
    pieces = description.ignoresMerges ? SpellingIndex(vocabulary.bytes, including: vocabulary.isModelToken) : nil
    pieceBytes = description.ignoresMerges ? vocabulary.bytes : StringTable()
    unknownByteToken = description.unknownByteToken
    fusesUnknownBytes = description.fusesUnknownBytes
  }

  private static func letters(_ vocabulary: Vocabulary) -> [Int32] {
    var result = [Int32](repeating: -1, count: 256)
    for (scalar, byte) in ByteAlphabet.bytes.enumerated() where byte >= 0 {
      guard let letter = UnicodeScalar(UInt32(scalar)) else { continue }
      let spelling = UTF8.encode(letter) ?? UTF8.encodedReplacementCharacter
      result[Int(byte)] = vocabulary.index.find(spelling, in: vocabulary.spellings) ?? -1
    }
    return result
  }

  private static func merges(
    _ list: StringTable, _ vocabulary: Vocabulary
  ) throws(TokenizerError) -> MergeTable {
    var table = MergeTable(capacity: list.count)
    try list.withEntries { (merges) throws(TokenizerError) in
      try vocabulary.spellings.withEntries { (tokens) throws(TokenizerError) in
        var joined: [UInt8] = []
        for rank in 0..<merges.count {
          guard let merge = merge(merges[rank], tokens, vocabulary.index, &joined) else {
            throw .invalid(
              field: "merge \(rank)",
              reason: "'\(list.string(rank))' is not two tokens and one space that make a token")
          }
          table.insert(merge.left, merge.right, MergeTable.Merge(rank: UInt32(rank), result: merge.result))
        }
      }
    }
    return table
  }

  /// The tokens of one merge; `joined` is scratch memory.
  private static func merge(
    _ text: UnsafeBufferPointer<UInt8>, _ tokens: EntryView, _ spellings: SpellingIndex, _ joined: inout [UInt8]
  ) -> (left: Int32, right: Int32, result: Int32)? {
    let space = UInt8(ascii: " ")
    guard let cut = text.firstIndex(of: space), cut == text.lastIndex(of: space) else { return nil }
    let leftText = UnsafeBufferPointer(rebasing: text[..<cut])
    let rightText = UnsafeBufferPointer(rebasing: text[(cut + 1)...])
    joined.removeAll(keepingCapacity: true)
    joined.append(contentsOf: leftText)
    joined.append(contentsOf: rightText)
    let result = joined.withUnsafeBufferPointer { spellings.find($0, in: tokens) }
    guard let result, let left = spellings.find(leftText, in: tokens), let right = spellings.find(rightText, in: tokens)
    else { return nil }
    return (left, right, result)
  }
}
