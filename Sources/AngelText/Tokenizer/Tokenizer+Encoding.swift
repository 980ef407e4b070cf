extension Tokenizer {
  /// The tokens of `text`.
  ///
  /// `addingSpecialTokens` puts the file's prefix and suffix around them; `parsingSpecialTokens` lets the spelling of a
  /// special token in the text become that token (text from users should not). Throws when a pattern gives up.
  public func encode(
    _ text: String, addingSpecialTokens: Bool = true, parsingSpecialTokens: Bool = true
  ) throws(TokenizerError) -> [Int32] {
    try encode(
      validated: Array(text.utf8), addingSpecialTokens: addingSpecialTokens,
      parsingSpecialTokens: parsingSpecialTokens)
  }

  /// The tokens of text as bytes. Each maximal invalid subpart of UTF-8 counts as U+FFFD, which is what a Python
  /// program sees after `decode(errors="replace")`.
  public func encode(
    _ bytes: [UInt8], addingSpecialTokens: Bool = true, parsingSpecialTokens: Bool = true
  ) throws(TokenizerError) -> [Int32] {
    try encode(
      validated: UTF8Repair.repaired(bytes), addingSpecialTokens: addingSpecialTokens,
      parsingSpecialTokens: parsingSpecialTokens)
  }

  /// Positions in a piece are 32-bit.
  private static var longestText: Int { 1 << 30 }
  private static var longestKept: Int { 4 << 20 }

  private func encode(
    validated text: [UInt8], addingSpecialTokens: Bool, parsingSpecialTokens: Bool
  ) throws(TokenizerError) -> [Int32] {
    guard text.count <= Self.longestText else {
      throw .invalid(field: "text", reason: "\(text.count) bytes at once; encode at most \(Self.longestText)")
    }
    var memory = try takeMemory()
    memory.match.prepare(byteCount: text.count)
    var output: [Int32] = []
    output.reserveCapacity(text.count / 3 + 8)
    if addingSpecialTokens { output.append(contentsOf: description.prefix) }
    try appendTokens(of: text, parsingSpecialTokens: parsingSpecialTokens, to: &output, &memory)
    if addingSpecialTokens { output.append(contentsOf: description.suffix) }
    // Buffers that grew with a huge text are not worth keeping.
    if text.count <= Self.longestKept { giveBack(memory) }
    return output
  }

  /// Added tokens in the text as given, then normalisation, then added tokens in the normalised text, then the model.
  private func appendTokens(
    of text: [UInt8], parsingSpecialTokens: Bool, to output: inout [Int32], _ memory: inout EncodingMemory
  ) throws(TokenizerError) {
    var spans: [AddedTokenMatcher.Span] = []
    rawMatcher.find(in: text[...], includingSpecial: parsingSpecialTokens, into: &spans)
    for span in spans {
      if let token = span.token {
        output.append(token)
        continue
      }
      let startsText = span.range.lowerBound == 0
      guard !normalizer.isEmpty || !normalizedMatcher.isEmpty else {
        try appendPieces(of: text[span.range], startsText: startsText, to: &output, &memory)
        continue
      }
      var removesStart = false
      let normalized = try normalizer.normalize(Array(text[span.range]), memory.match, removesStart: &removesStart)
      var innerSpans: [AddedTokenMatcher.Span] = []
      normalizedMatcher.find(in: normalized[...], includingSpecial: parsingSpecialTokens, into: &innerSpans)
      for inner in innerSpans {
        if let token = inner.token {
          output.append(token)
        } else {
          try appendPieces(
            of: normalized[inner.range], startsText: startsText && !removesStart && inner.range.lowerBound == 0,
            to: &output, &memory)
        }
      }
    }
  }

  private func appendPieces(
    of text: ArraySlice<UInt8>, startsText: Bool, to output: inout [Int32], _ memory: inout EncodingMemory
  ) throws(TokenizerError) {
    try preTokenizer.cut(text, into: &memory.cuts, memory.match, startsText: startsText)
    memory.cuts.text.withUnsafeBufferPointer { bytes in
      memory.encoder.encode(memory.cuts.pieces, of: bytes, with: model, into: &output)
    }
  }
}
