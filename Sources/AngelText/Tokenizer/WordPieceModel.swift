import AngelCore

/// A WordPiece model: the tokens that begin words, and those that continue them.
final class WordPieceModel: Sendable {
  private let beginnings: ByteTrie
  private let continuations: ByteTrie
  private let unknownToken: Int32
  private let longestWord: Int

  init(_ rules: WordPieceRules, _ vocabulary: Vocabulary, modelCount: Int) throws(TokenizerError) {
    guard rules.longestWord > 0 else {
      throw .invalid(field: "longest word", reason: "\(rules.longestWord) characters: at least one is needed")
    }
    var beginnings = ByteTrie()
    var continuations = ByteTrie()
    let prefix = Array(rules.continuationPrefix.utf8)
    vocabulary.spellings.withEntries { entries in
      for token in 0..<min(entries.count, modelCount) {
        let spelling = entries[token]
        beginnings.insert(spelling, Int32(token), replacing: true)
        if spelling.starts(with: prefix) {
          continuations.insert(UnsafeBufferPointer(rebasing: spelling[prefix.count...]), Int32(token), replacing: true)
        }
      }
    }
    self.beginnings = beginnings
    self.continuations = continuations
    unknownToken = rules.unknownToken
    longestWord = rules.longestWord
  }

  /// Appends the tokens of `word`: each time the longest that fits, or the unknown token for all of it.
  func encode(_ word: UnsafeBufferPointer<UInt8>, into output: inout [Int32]) {
    let start = output.count
    if word.count > longestWord, word.count(where: { $0 & 0xC0 != 0x80 }) > longestWord {
      output.append(unknownToken)
      return
    }
    var position = 0
    while position < word.count {
      let match =
        position == 0
        ? beginnings.longestMatch(in: word, from: 0) : continuations.longestMatch(in: word, from: position)
      guard let match else {
        output.removeSubrange(start...)
        output.append(unknownToken)
        return
      }
      output.append(match.value)
      position = match.end
    }
  }
}
