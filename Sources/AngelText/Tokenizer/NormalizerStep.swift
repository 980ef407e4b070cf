/// One rewriting of the text before it is cut; the cases are the Hugging Face `normalizer` types.
public enum NormalizerStep: Sendable, Hashable {
  case unicode(UnicodeForm)
  /// Put before a text that is not empty.
  case prepend(String)
  /// Replace each match.
  case replace(SplitRule, with: String)
  /// Drop white space at the ends.
  case strip(left: Bool, right: Bool)
  case lowercase
  /// Drop nonspacing marks.
  case stripAccents
  case bert(BertNormalization)
  /// Map characters by a table that SentencePiece compiled.
  case characterMap(CharacterMap)
}

/// A Unicode normalisation form (UAX #15).
public enum UnicodeForm: String, Sendable, Hashable, CaseIterable {
  case nfc = "NFC"
  case nfd = "NFD"
  case nfkc = "NFKC"
  case nfkd = "NFKD"
}

/// What BERT's basic tokenizer does to a text before it cuts it.
public struct BertNormalization: Sendable, Hashable {
  /// Drop control characters, turn white space into spaces.
  public var cleansText = true
  /// Put spaces around Chinese characters.
  public var spacesChineseCharacters = true
  /// Drop nonspacing marks after canonical decomposition.
  public var stripsAccents = true
  public var lowercases = true

  public init() {}
}
