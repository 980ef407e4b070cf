/// A pre-tokenizer known by the name that GGUF files give in `tokenizer.ggml.pre`.
public enum NamedPreTokenizer: String, Sendable, Hashable, CaseIterable {
  case gpt2 = "gpt-2"
  case smollm = "smollm"
  case llama3 = "llama-bpe"
  case qwen2 = "qwen2"
  case hunyuan = "hunyuan"
  case hunyuanDense = "hunyuan-dense"
  case tekken = "tekken"
  case `default` = "default"

  /// Finds a pre-tokenizer by its GGUF name or one of the names that mean the same cuts.
  public init(named name: String) throws(TokenizerError) {
    switch name {
    case "phi-2", "olmo", "mpt": self = .gpt2
    case "starcoder", "refact", "command-r": self = .smollm
    case "llama3", "llama-v3": self = .llama3
    case "deepseek-r1-qwen", "megrez": self = .qwen2
    default:
      guard let known = NamedPreTokenizer(rawValue: name) else {
        throw .unsupported(
          feature: "pre-tokenizer", value: name, supported: NamedPreTokenizer.allCases.map(\.rawValue))
      }
      self = known
    }
  }

  /// The cuts as steps.
  public var steps: [PreTokenizerStep] {
    switch self {
    case .gpt2: [.byteLevel(addingPrefixSpace: false, splittingWords: true)]
    case .smollm:
      [.digits(individually: true), .byteLevel(addingPrefixSpace: false, splittingWords: true)]
    case .llama3: Self.splitting(Self.llama3Expression)
    case .qwen2, .hunyuan: Self.splitting(Self.qwen2Expression)
    case .tekken: Self.splitting(Self.tekkenExpression)
    case .hunyuanDense:
      [
        .split(.expression(#"\p{N}{1,3}"#), .isolated, inverted: false),
        .split(.expression("[一-龥\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+"), .isolated, inverted: false),
      ] + Self.splitting(Self.hunyuanDenseExpression)
    case .default:
      // What files without a name were made for: punctuation runs, words, then digits by threes.
      [
        .split(.expression(#"[\p{P}\$\+<=>\^~\|]+"#), .isolated, inverted: false),
        .split(.expression(Self.gpt2Expression), .isolated, inverted: false),
        .split(.expression(#"\p{N}+"#), .isolated, inverted: false),
        .split(.expression("[0-9][0-9][0-9]"), .isolated, inverted: false),
        .byteLevel(addingPrefixSpace: false, splittingWords: false),
      ]
    }
  }

  /// Qwen's tokenizer normalises to NFC, which GGUF files leave unsaid.
  public var normalizers: [NormalizerStep] { self == .qwen2 ? [.unicode(.nfc)] : [] }

  /// Whether a piece that is a whole token skips the merges.
  public var ignoresMerges: Bool { self == .llama3 || self == .tekken }

  /// What a GGUF file without `tokenizer.ggml.add_bos_token` means.
  public var addsBeginToken: Bool { self == .llama3 || self == .tekken }

  private static func splitting(_ expression: String) -> [PreTokenizerStep] {
    [
      .split(.expression(expression), .isolated, inverted: false),
      .byteLevel(addingPrefixSpace: false, splittingWords: false),
    ]
  }

  /// GPT-2's pattern (Radford et al. 2019, `encoder.py`).
  static let gpt2Expression =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  /// Llama 3's pattern (`tokenizer.json` of the model): contractions in any case, digits by threes.
  static let llama3Expression =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  /// Qwen 2's pattern: Llama 3's with single digits.
  static let qwen2Expression =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  /// The pattern of Mistral's Tekken (`tokenizer.json` of Mistral Nemo): words cut where the case rises, single digits.
  static let tekkenExpression =
    #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  /// Hunyuan's dense models share DeepSeek 3's third pattern (`tokenizer.json` of either).
  static let hunyuanDenseExpression =
    ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##
}

extension TokenizerDescription {
  /// The name under which GGUF files know how this tokenizer cuts text, or nil when they have none for it.
  public var namedPreTokenizer: NamedPreTokenizer? {
    guard case .bytePairs(let rules) = model, isByteLevel else { return nil }
    return NamedPreTokenizer.allCases.first {
      $0.steps == preTokenizer && $0.normalizers == normalizers && $0.ignoresMerges == rules.ignoresMerges
    }
  }
}
