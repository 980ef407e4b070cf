extension Tokenizer {
  /// The bytes a token stands for; an added token's are its text. Throws for ids outside the vocabulary.
  public func bytes(of token: Int32) throws(TokenizerError) -> ArraySlice<UInt8> {
    guard token >= 0, Int(token) < vocabularySize else {
      throw .tokenOutOfRange(token, vocabularySize: vocabularySize)
    }
    return tokenBytes[Int(token)]
  }

  /// The text of `tokens`; bytes that are not UTF-8 become U+FFFD. Throws for ids outside the vocabulary.
  public func decode(_ tokens: [Int32], skippingSpecialTokens: Bool = true) throws(TokenizerError) -> String {
    var bytes: [UInt8] = []
    for token in tokens {
      let piece = try self.bytes(of: token)
      if !(skippingSpecialTokens && isSpecial(token)) { bytes.append(contentsOf: piece) }
    }
    return String(decoding: UTF8Repair.repaired(bytes), as: UTF8.self)
  }
}
