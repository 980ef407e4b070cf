public import AngelCore

extension Tokenizer {
  /// The bytes that each token adds to an answer's text, and where they differ those it adds as the answer's first token.
  ///
  /// None for control and unknown tokens, which an answer does not show, and for ids that no text is made of.
  public func answerSpellings() throws(TokenizerError) -> (later: StringTable, first: StringTable?) {
    let (first, later) = (try spellings(isFirst: true), try spellings(isFirst: false))
    return (later, first == later ? nil : first)
  }

  private func spellings(isFirst: Bool) throws(TokenizerError) -> StringTable {
    var before = decoder.start()
    if !isFirst { before.endBeginning() }
    var table = StringTable()
    for token in 0..<Int32(vocabularySize) {
      var bytes: [UInt8] = []
      if !isSpecial(token), kinds[Int(token)] != .unused, !spellings[Int(token)].isEmpty {
        var state = before
        try append(token, to: &bytes, skippingSpecialTokens: true, &state)
      }
      table.append(bytes)
    }
    return table
  }
}
