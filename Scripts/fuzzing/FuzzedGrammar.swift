import AngelCore

/// Follows random answers through a grammar; `bytes` choose among the tokens that are allowed.
///
/// Claims: a mask allows the tokens whose bytes the matcher takes; where nothing is allowed the answer is complete.
func follow(_ grammar: Grammar, _ bytes: UnsafeBufferPointer<UInt8>, onEnd: ([UInt8]) -> Void) {
  var spellings = StringTable()
  for byte in 0...255 { spellings.append([UInt8(byte)]) }
  for text in ["ab", "{\"", "\":", "\", \"", "},", "[1", "  ", "é", "true", "\\u00"] { spellings.append(text.utf8) }
  spellings.append([])
  let vocabulary = TokenVocabulary(spellings, endTokens: [Int32(spellings.count - 1)])
  guard let constraint = try? TokenConstraint(grammar, vocabulary) else { return }
  var matcher = TokenMatcher(constraint)
  var text: [UInt8] = []
  for step in 0..<24 {
    guard let mask = try? matcher.mask() else { return }
    let allowed = (0..<spellings.count).filter { mask.allows($0) }
    precondition(!allowed.isEmpty, "nothing may follow \(text)")
    for token in stride(from: step % 7, to: spellings.count, by: 7) {
      var copy = matcher
      precondition(((try? copy.accept(Int32(token))) != nil) == mask.allows(token), "token \(token) after \(text)")
    }
    if matcher.canEnd { onEnd(text) }
    let choice = bytes.isEmpty ? 0 : Int(bytes[step % bytes.count]) &* 31 &+ step
    let token = allowed[choice % allowed.count]
    guard (try? matcher.accept(Int32(token))) != nil, !matcher.hasEnded else { return }
    text += spellings[token]
  }
}
