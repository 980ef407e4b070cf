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

  /// Resolves the merges of `description` to ids. `spellings` finds a token by its spelling, `bytes` has its bytes.
  init(
    _ description: TokenizerDescription, spellings: SpellingIndex, bytes: StringTable, isModelToken: (Int) -> Bool
  ) throws(TokenizerError) {
    letters = Self.letters(description.tokens, spellings)
    merges = try Self.merges(description, spellings)
    pieces = description.ignoresMerges ? SpellingIndex(bytes, including: isModelToken) : nil
    pieceBytes = description.ignoresMerges ? bytes : StringTable()
    unknownByteToken = description.unknownByteToken
    fusesUnknownBytes = description.fusesUnknownBytes
  }

  private static func letters(_ tokens: StringTable, _ spellings: SpellingIndex) -> [Int32] {
    var result = [Int32](repeating: -1, count: 256)
    for (scalar, byte) in ByteAlphabet.bytes.enumerated() where byte >= 0 {
      guard let letter = UnicodeScalar(UInt32(scalar)) else { continue }
      result[Int(byte)] = spellings.find(UTF8.encode(letter) ?? UTF8.encodedReplacementCharacter, in: tokens) ?? -1
    }
    return result
  }

  private static func merges(
    _ description: TokenizerDescription, _ spellings: SpellingIndex
  ) throws(TokenizerError) -> MergeTable {
    let space = UInt8(ascii: " ")
    var table = MergeTable(capacity: description.merges.count)
    var joined: [UInt8] = []
    for rank in 0..<description.merges.count {
      let merge = description.merges[rank]
      guard let cut = merge.firstIndex(of: space), cut == merge.lastIndex(of: space) else {
        throw .invalid(
          field: "merge \(rank)", reason: "'\(description.merges.string(rank))' is not two spellings and one space")
      }
      joined.removeAll(keepingCapacity: true)
      joined.append(contentsOf: merge[..<cut])
      let leftCount = joined.count
      joined.append(contentsOf: merge[(cut + 1)...])
      let found = joined.withUnsafeBufferPointer { bytes in
        (
          left: spellings.find(UnsafeBufferPointer(rebasing: bytes[..<leftCount]), in: description.tokens),
          right: spellings.find(UnsafeBufferPointer(rebasing: bytes[leftCount...]), in: description.tokens),
          result: spellings.find(bytes, in: description.tokens)
        )
      }
      guard let left = found.left, let right = found.right, let result = found.result else {
        throw .invalid(
          field: "merge \(rank)",
          reason: "'\(description.merges.string(rank))' names or makes a token that is not in the vocabulary")
      }
      table.insert(left, right, MergeTable.Merge(rank: UInt32(rank), result: result))
    }
    return table
  }
}
