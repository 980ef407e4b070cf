/// One step from tokens to text; the cases are the Hugging Face `decoder` types.
public enum DecoderStep: Sendable, Hashable {
  /// Undo the byte alphabet.
  case byteLevel
  /// Tokens `<0x00>` to `<0xFF>` are bytes.
  case byteFallback
  /// Join all tokens: later steps see one text.
  case fuse
  /// Replace each match in a token.
  case replace(SplitRule, with: String)
  /// Drop up to so many of a character at the ends of each token or, after `fuse`, at the start of the text.
  case strip(Unicode.Scalar, start: Int, stop: Int)
  /// The marker of spaces becomes a space, or nothing in the first token where `droppingFirst`.
  case metaspace(marker: String, droppingFirst: Bool)
  /// Tokens with the prefix continue a word, others begin one; `cleaningUp` takes spaces before punctuation back.
  case wordPiece(prefix: String, cleaningUp: Bool)
  /// A space between tokens: what a file without a decoder means.
  case spaceBetween
}
