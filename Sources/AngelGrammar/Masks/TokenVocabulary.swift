public import AngelCore

/// What each token of a vocabulary adds to an answer's text, arranged for masks.
public final class TokenVocabulary: Sendable {
  /// Tokens there are, those without a text included.
  public let count: Int
  /// The tokens that end an answer.
  public let endTokens: Set<Int32>
  /// What each token adds; empty: it adds nothing, and is never allowed.
  let spellings: StringTable
  let trie: TokenTrie
  /// The same at the beginning of an answer, where it differs: some tokenizers drop a space there.
  let firstSpellings: StringTable?
  let firstTrie: TokenTrie?

  /// - Parameters:
  ///   - spellings: the bytes of each token; none for control tokens and ids without a token.
  ///   - firstSpellings: the same for the first token of an answer; nil: no difference.
  ///   - endTokens: they have no spelling.
  public init(_ spellings: StringTable, firstSpellings: StringTable? = nil, endTokens: Set<Int32>) {
    count = spellings.count
    self.spellings = spellings
    self.firstSpellings = firstSpellings
    self.endTokens = endTokens.filter { $0 >= 0 && Int($0) < spellings.count }
    trie = Self.trie(spellings, without: endTokens)
    firstTrie = firstSpellings.map { Self.trie($0, without: endTokens) }
  }

  private static func trie(_ spellings: StringTable, without endTokens: Set<Int32>) -> TokenTrie {
    let chosen = (0..<Int32(spellings.count)).filter { !spellings[Int($0)].isEmpty && !endTokens.contains($0) }
    return TokenTrie(chosen, of: spellings)
  }
}
