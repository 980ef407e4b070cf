import AngelCore
import Synchronization

/// Text to token ids and back, equal to the Hugging Face `tokenizers` library or to SentencePiece, by the file's kind.
///
/// Immutable and shared: any number of threads may encode and decode at once.
public final class Tokenizer: Sendable {
  /// What the file said.
  public let description: TokenizerDescription
  /// The number of ids: every token is in `0..<vocabularySize`, though an id may be unused.
  public var vocabularySize: Int { spellings.count }
  /// The token that begins a text, where the file names one.
  public var beginToken: Int32? { description.beginToken }
  /// The token that ends a text, where the file names one.
  public var endToken: Int32? { description.endToken }

  /// The spelling of each token, added tokens included.
  let spellings: StringTable
  let kinds: [TokenKind]
  let model: PieceModel
  let normalizer: Normalizer
  let preTokenizer: PreTokenizer
  let decoder: TextDecoder
  let rawMatcher: AddedTokenMatcher
  let normalizedMatcher: AddedTokenMatcher
  private let index: SpellingIndex
  private let pool = Mutex<[EncodingMemory]>([])

  /// Prepares a tokenizer; everything the description says is checked here.
  public init(_ description: TokenizerDescription) throws(TokenizerError) {
    let vocabulary = try Vocabulary(description)
    self.description = description
    spellings = vocabulary.spellings
    kinds = vocabulary.kinds
    index = vocabulary.index
    model = try Self.model(description, vocabulary)
    preTokenizer = try PreTokenizer(description.preTokenizer)
    decoder = try TextDecoder(description.decoder)
    let normalizer = try Normalizer(description.normalizers)
    self.normalizer = normalizer
    let raw = description.addedTokens.filter { !$0.isNormalized }
    rawMatcher = AddedTokenMatcher(raw, spellings: raw.map { Array($0.content.utf8) })
    let normalized = description.addedTokens.filter(\.isNormalized)
    normalizedMatcher = AddedTokenMatcher(normalized, spellings: try Self.normalized(normalized, normalizer))
  }

  private static func model(
    _ description: TokenizerDescription, _ vocabulary: Vocabulary
  ) throws(TokenizerError) -> PieceModel {
    if description.isByteLevel {
      guard case .bytePairs = description.model else {
        throw .unsupported(feature: "pre-tokenizer", value: "ByteLevel", supported: ["ByteLevel with a BPE model"])
      }
    }
    return switch description.model {
    case .bytePairs(let rules):
      .bytePairs(try BytePairModel(rules, isByteLevel: description.isByteLevel, vocabulary))
    case .scoredPairs(let rules): .scoredPairs(try ScoredPairModel(rules, vocabulary))
    case .unigram(let rules): .unigram(try UnigramModel(rules, vocabulary))
    case .wordPiece(let rules):
      .wordPiece(try WordPieceModel(rules, vocabulary, modelCount: description.tokens.count))
    }
  }

  private static func normalized(
    _ tokens: [AddedToken], _ normalizer: Normalizer
  ) throws(TokenizerError) -> [[UInt8]] {
    if normalizer.isEmpty { return tokens.map { Array($0.content.utf8) } }
    guard !tokens.isEmpty else { return [] }
    let memory = try makeMatchMemory()
    var result: [[UInt8]] = []
    var removesStart = false
    for token in tokens {
      memory.prepare(byteCount: token.content.utf8.count)
      result.append(try normalizer.normalize(Array(token.content.utf8), memory, removesStart: &removesStart))
    }
    return result
  }

  private static func makeMatchMemory() throws(TokenizerError) -> MatchMemory {
    guard let memory = MatchMemory() else { throw .pattern("pre-tokenizer", reason: "no memory to match with") }
    return memory
  }

  /// The token spelled `name` in the file: an added token's text, or a piece in the byte alphabet.
  public func token(named name: String) -> Int32? { index.find(name.utf8, in: spellings) }

  /// Whether a token is a control or unknown token, which `decode` can skip; false outside the vocabulary.
  public func isSpecial(_ token: Int32) -> Bool {
    guard token >= 0, Int(token) < kinds.count else { return false }
    return kinds[Int(token)] == .control || kinds[Int(token)] == .unknown
  }

  /// Takes working memory from the pool, or makes some.
  func takeMemory() throws(TokenizerError) -> EncodingMemory {
    if let memory = pool.withLock({ $0.popLast() }) { return memory }
    return EncodingMemory(match: try Self.makeMatchMemory())
  }

  /// Gives working memory back for the next encode, with what it has learnt.
  func giveBack(_ memory: EncodingMemory) {
    pool.withLock { if $0.count < 64 { $0.append(memory) } }
  }
}

/// What one encode works with; kept between encodes because the piece cache is worth most of the speed.
struct EncodingMemory: Sendable {
  let match: MatchMemory
  var cuts = TextCuts()
  var encoder = PieceEncoder()

  init(match: MatchMemory) { self.match = match }
}
