/// One way of cutting text into the pieces that merges never cross; steps apply in order, each to every piece so far.
///
/// The cases are the Hugging Face `pre_tokenizer` types.
public enum PreTokenizerStep: Sendable, Hashable {
  /// Cut where a pattern matches.
  case split(SplitRule, SplitBehavior, inverted: Bool)
  /// Cut out digits (general categories Nd, Nl, No), one by one or in runs.
  case digits(individually: Bool)
  /// Spell bytes in the byte alphabet: always the last step if there. `splittingWords` first cuts with the GPT-2 pattern.
  case byteLevel(addingPrefixSpace: Bool, splittingWords: Bool)
  /// Keep runs of word characters and runs of other visible characters.
  case whitespace
  /// Cut at white space, which is dropped.
  case whitespaceSplit
  /// Cut at punctuation: ASCII symbols and general category P.
  case punctuation(SplitBehavior)
  /// Write spaces as a marker, put one first, and cut before each where `splitting`.
  case metaspace(marker: String, SpacePrefix, splitting: Bool)
  /// Cut at white space, which is dropped, and cut out each punctuation character, as BERT does.
  case bert
}

/// Where `metaspace` puts a marker that is not in the text.
public enum SpacePrefix: String, Sendable, Hashable, CaseIterable {
  /// Before every stretch of text between added tokens.
  case always
  /// At the start of the text.
  case first
  case never
}

/// What a split looks for.
public enum SplitRule: Sendable, Hashable {
  /// A regular expression in Oniguruma's syntax, as far as PCRE2 shares it (`SplitPattern`).
  case expression(String)
  /// The text itself.
  case literal(String)
}

/// What becomes of the text a split matched.
public enum SplitBehavior: String, Sendable, Hashable, CaseIterable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}
