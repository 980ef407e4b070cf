extension Tokenizer {
  /// The bytes a token stands for inside a text; an added token's are its text. Throws for ids outside the vocabulary.
  public func bytes(of token: Int32) throws(TokenizerError) -> [UInt8] {
    try check(token)
    if kinds[Int(token)].isFoundInText { return Array(spellings[Int(token)]) }
    var output: [UInt8] = []
    try spellings.withEntries { (entries) throws(TokenizerError) in
      try decoder.append(entries[Int(token)], to: &output, isFirst: false)
    }
    return output
  }

  /// The text of `tokens`; bytes that are not UTF-8 become U+FFFD. Throws for ids outside the vocabulary.
  public func decode(_ tokens: [Int32], skippingSpecialTokens: Bool = true) throws(TokenizerError) -> String {
    var bytes: [UInt8] = []
    var state = decoder.start()
    for token in tokens {
      try append(token, to: &bytes, skippingSpecialTokens: skippingSpecialTokens, &state)
    }
    return String(decoding: UTF8Repair.repaired(bytes), as: UTF8.self)
  }

  /// Appends the bytes of the next token of a text.
  func append(
    _ token: Int32, to bytes: inout [UInt8], skippingSpecialTokens: Bool, _ state: inout TextDecoder.State
  ) throws(TokenizerError) {
    try check(token)
    if skippingSpecialTokens && isSpecial(token) { return }
    if decoder.isByteLevel && kinds[Int(token)].isFoundInText {
      bytes.append(contentsOf: spellings[Int(token)])
      return
    }
    try spellings.withEntries { (entries) throws(TokenizerError) in
      try decoder.append(entries[Int(token)], to: &bytes, &state)
    }
  }

  private func check(_ token: Int32) throws(TokenizerError) {
    guard token >= 0, Int(token) < vocabularySize else {
      throw .tokenOutOfRange(token, vocabularySize: vocabularySize)
    }
  }
}
