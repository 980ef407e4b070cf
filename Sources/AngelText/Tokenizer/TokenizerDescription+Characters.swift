import AngelCore

extension TokenizerDescription {
  /// A token for each of the 256 bytes, and one that ends a text.
  public static func bytes() -> TokenizerDescription {
    var tokens = (0..<256).map { ByteAlphabet.spelling(of: [UInt8($0)]) }
    tokens.append("<|endoftext|>")
    return make(tokens, merges: [], end: 256)
  }

  /// A token for each of `characters`, in their order: nanoGPT's character models.
  ///
  /// Characters of several bytes are merged from their bytes, which are tokens too, so every text made of the same bytes can
  /// be encoded. There is no end token.
  public static func characters(_ characters: Set<Unicode.Scalar>) -> TokenizerDescription {
    var tokens: [String] = []
    var merges: [String] = []
    var known: Set<String> = []
    func add(_ bytes: some Sequence<UInt8>) {
      let spelling = ByteAlphabet.spelling(of: Array(bytes))
      if known.insert(spelling).inserted { tokens.append(spelling) }
    }
    for scalar in characters.sorted() {
      let bytes = Array(String(scalar).utf8)
      for byte in bytes { add([byte]) }
      for count in 1..<max(bytes.count, 1) {
        let (left, right) = (
          ByteAlphabet.spelling(of: Array(bytes[..<count])), ByteAlphabet.spelling(of: [bytes[count]])
        )
        if known.insert(left + right).inserted {
          tokens.append(left + right)
          merges.append(left + " " + right)
        }
      }
    }
    return make(tokens, merges: merges, end: nil)
  }

  private static func make(_ tokens: [String], merges: [String], end: Int32?) -> TokenizerDescription {
    var kinds = [TokenKind](repeating: .normal, count: tokens.count)
    if let end { kinds[Int(end)] = .control }
    return TokenizerDescription(
      tokens: StringTable(tokens), kinds: kinds, merges: StringTable(merges), preTokenizer: .default, endToken: end)
  }
}

extension StringTable {
  fileprivate init(_ texts: [String]) {
    self.init()
    for text in texts { append(text.utf8) }
  }
}
