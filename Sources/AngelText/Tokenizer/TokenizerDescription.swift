public import AngelCore

/// What a file says about a tokenizer: a value to fill from `tokenizer.json`, `tokenizer.model` or GGUF metadata and give
/// to `Tokenizer`.
///
/// From GGUF, where `tokenizer.ggml.model` is `gpt2`, fill it so:
///
/// | key `tokenizer.ggml.…` | parameter |
/// |---|---|
/// | `tokens`, `token_type`, `merges` | `tokens`, `kinds` (`TokenKind(rawValue:)`), `merges` |
/// | `pre` | `preTokenizer: NamedPreTokenizer(named:)`, absent: `.default` |
/// | `bos_token_id`, `eos_token_id`, `padding_token_id`, `unknown_token_id` | `beginToken`, … |
/// | `add_bos_token`, `add_eos_token` | `addsBeginToken`, `addsEndToken`, absent: nil |
///
/// For `llama` and `t5` see `SentencePieceVocabulary`, for `bert` `init(phantomSpaceTokens:…)`.
public struct TokenizerDescription: Sendable, Hashable {
  /// The vocabulary: entry `i` is token `i`, spelled as in the file (in the byte alphabet; special tokens as they are).
  public var tokens: StringTable
  /// What each token is; empty means all normal.
  public var kinds: [TokenKind]
  /// How pieces become tokens.
  public var model: TokenizerModel
  /// How text is rewritten before it is cut.
  public var normalizers: [NormalizerStep]
  /// How text is cut into pieces; without steps it stays whole.
  public var preTokenizer: [PreTokenizerStep]
  /// Tokens found in the text before anything else.
  public var addedTokens: [AddedToken]
  /// How tokens become text.
  public var decoder: [DecoderStep]
  /// Token ids by role, where the file names them.
  public var beginToken: Int32?
  public var endToken: Int32?
  public var paddingToken: Int32?
  public var unknownToken: Int32?
  /// Put before and after a text when special tokens are asked for.
  public var prefix: [Int32]
  public var suffix: [Int32]

  /// A byte-level byte-pair encoding with a pre-tokenizer known by name.
  ///
  /// Added tokens come from `kinds`: control and unknown tokens are special, user-defined ones are not.
  /// `addsBeginToken` nil means the pre-tokenizer's custom.
  public init(
    tokens: StringTable, kinds: [TokenKind] = [], merges: StringTable, preTokenizer: NamedPreTokenizer,
    beginToken: Int32? = nil, endToken: Int32? = nil, paddingToken: Int32? = nil, unknownToken: Int32? = nil,
    addsBeginToken: Bool? = nil, addsEndToken: Bool? = nil
  ) {
    var rules = BytePairRules(merges: merges)
    rules.ignoresMerges = preTokenizer.ignoresMerges
    self.init(
      tokens: tokens, kinds: kinds, model: .bytePairs(rules), normalizers: preTokenizer.normalizers,
      preTokenizer: preTokenizer.steps)
    addTokensFoundInText()
    self.beginToken = beginToken
    self.endToken = endToken
    self.paddingToken = paddingToken
    self.unknownToken = unknownToken
    if addsBeginToken ?? preTokenizer.addsBeginToken, let beginToken { prefix = [beginToken] }
    if addsEndToken ?? false, let endToken { suffix = [endToken] }
  }

  /// A tokenizer spelled out; set the roles afterwards. The default decoder is the byte level's.
  public init(
    tokens: StringTable, kinds: [TokenKind] = [], model: TokenizerModel, normalizers: [NormalizerStep] = [],
    preTokenizer: [PreTokenizerStep], addedTokens: [AddedToken] = [], decoder: [DecoderStep] = [.byteLevel]
  ) {
    self.tokens = tokens
    self.kinds = kinds
    self.model = model
    self.normalizers = normalizers
    self.preTokenizer = preTokenizer
    self.addedTokens = addedTokens
    self.decoder = decoder
    prefix = []
    suffix = []
  }

  /// Whether the vocabulary is spelled in the byte alphabet.
  var isByteLevel: Bool { if case .byteLevel? = preTokenizer.last { true } else { false } }

  /// Makes added tokens of those whose kind says that they are found in the text.
  mutating func addTokensFoundInText() {
    for (index, kind) in kinds.enumerated() where kind.isFoundInText && index < tokens.count {
      addedTokens.append(
        AddedToken(id: Int32(index), content: tokens.string(index), isSpecial: kind != .userDefined))
    }
  }
}

/// What a token is, with the numbers of GGUF's `tokenizer.ggml.token_type`.
public enum TokenKind: UInt8, Sendable, Hashable, CaseIterable {
  case normal = 1
  case unknown = 2
  case control = 3
  case userDefined = 4
  case unused = 5
  case byte = 6

  /// Whether the token's spelling is looked for in the text.
  var isFoundInText: Bool { self == .control || self == .userDefined || self == .unknown }
}

/// A token found in the text by its spelling, before normalisation and cutting.
public struct AddedToken: Sendable, Hashable {
  public var id: Int32
  public var content: String
  /// Skipped by `decode(skippingSpecialTokens: true)`, and plain text where special tokens are not parsed.
  public var isSpecial: Bool
  /// Swallows the white space before it.
  public var stripsLeft: Bool
  /// Swallows the white space after it.
  public var stripsRight: Bool
  /// Found only between characters that are not part of a word.
  public var isSingleWord: Bool
  /// Looked for in the normalised text instead of the text as given.
  public var isNormalized: Bool

  public init(
    id: Int32, content: String, isSpecial: Bool = true, stripsLeft: Bool = false, stripsRight: Bool = false,
    isSingleWord: Bool = false, isNormalized: Bool = false
  ) {
    self.id = id
    self.content = content
    self.isSpecial = isSpecial
    self.stripsLeft = stripsLeft
    self.stripsRight = stripsRight
    self.isSingleWord = isSingleWord
    self.isNormalized = isNormalized
  }
}
