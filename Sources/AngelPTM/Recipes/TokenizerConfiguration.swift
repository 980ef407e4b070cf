public import AngelCore
import AngelText

/// A tokenizer that is learnt from the texts a new model is trained on.
public struct TokenizerConfiguration: Configurable, Hashable {
  /// The kinds that can be learnt.
  public enum Method: String, ConfigurationChoice {
    /// Byte-pair encoding of bytes, as GPT-2 and most models after it have.
    case bytePairs = "byte-bpe"
  }

  public var train = Method.bytePairs
  /// The most tokens it may have: 256 bytes, special ones, and merges.
  public var vocabularySize = 4096
  /// A regular expression that cuts texts into pieces; nothing: GPT-2's.
  public var pattern: String?
  /// Spellings of special tokens besides the one that ends a text.
  public var specialTokens: [String] = []

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("train", \.train, "byte-bpe: frequent pairs of bytes and tokens become tokens"),
    .value(
      "vocabulary_size", \.vocabularySize, in: BytePairTrainer.leastVocabularySize(specialTokens: [])...1 << 24,
      "tokens at most: 256 bytes, special ones, merges"),
    .value("pattern", \.pattern, "a regular expression that cuts texts before merging; null: GPT-2's"),
    .value("special_tokens", \.specialTokens, "special tokens besides <|endoftext|>"),
  ]

  public func problems() -> [String] {
    let least = BytePairTrainer.leastVocabularySize(specialTokens: specialTokens)
    guard vocabularySize < least else { return [] }
    return ["tokenizer.vocabulary_size is \(vocabularySize), but bytes and special tokens alone are \(least)"]
  }
}
