import AngelCore

/// Learns a byte-level byte-pair encoding from texts (Sennrich et al. 2016, arXiv:1508.07909, on bytes as in GPT-2).
///
/// Texts are cut into pieces that merges never cross; then the most frequent pair of neighbouring tokens becomes a token, again
/// and again. Among pairs of one count the one of older tokens is first, so the result is a function of the texts, and equal to
/// that of `BpeTrainer` of the `tokenizers` library: special tokens, the 256 bytes in the order of their letters, then merges.
///
/// ```swift
/// var trainer = try BytePairTrainer(vocabularySize: 4096)
/// for text in texts { try trainer.add(text) }
/// let tokenizer = try Tokenizer(trainer.train())
/// ```
public struct BytePairTrainer: ~Copyable {
  /// The token that ends a text; always the first.
  public static let endToken = "<|endoftext|>"
  /// A pair that came once says nothing about other texts.
  static let leastCount = 2
  private static let byteCount = 256
  /// Longer texts are cut by stretches.
  private static let stretch = 4 << 20

  private let vocabularySize: Int
  private let specialTokens: [String]
  private let steps: [PreTokenizerStep]
  private let preTokenizer: PreTokenizer
  private let memory: MatchMemory
  private var cuts: TextCuts
  private var corpus: PieceCounts

  /// The smallest vocabulary with these special tokens besides the one that ends a text.
  public static func leastVocabularySize(specialTokens: [String]) -> Int { byteCount + 1 + specialTokens.count }

  /// - Parameters:
  ///   - vocabularySize: the most tokens there will be, all kinds together.
  ///   - pattern: a regular expression whose matches, and what lies between them, are the pieces; nil: GPT-2's.
  ///   - specialTokens: spellings besides the end token, in the order of their ids from 1.
  public init(vocabularySize: Int, pattern: String? = nil, specialTokens: [String] = []) throws(TokenizerError) {
    let least = Self.leastVocabularySize(specialTokens: specialTokens)
    guard (least...(1 << 24)).contains(vocabularySize) else {
      throw .invalid(
        field: "vocabulary size",
        reason:
          "\(vocabularySize); it must be at least \(least) (256 bytes and \(least - 256) special) and at most 2^24")
    }
    let special = [Self.endToken] + specialTokens
    guard Set(special).count == special.count, !special.contains("") else {
      throw .invalid(
        field: "special tokens", reason: "one is empty, or there twice: \(special.joined(separator: ", "))")
    }
    guard let memory = MatchMemory() else { throw .pattern("pre-tokenizer", reason: "no memory to match with") }
    let steps = Self.steps(pattern)
    let preTokenizer = try PreTokenizer(steps)
    self.vocabularySize = vocabularySize
    self.specialTokens = special
    self.steps = steps
    self.preTokenizer = preTokenizer
    self.memory = memory
    cuts = TextCuts()
    corpus = PieceCounts()
  }

  private static func steps(_ pattern: String?) -> [PreTokenizerStep] {
    guard let pattern else { return NamedPreTokenizer.gpt2.steps }
    return [
      .split(.expression(pattern), .isolated, inverted: false),
      .byteLevel(addingPrefixSpace: false, splittingWords: false),
    ]
  }

  /// Counts the pieces of a text.
  public mutating func add(_ text: String) throws(TokenizerError) {
    let bytes = Array(text.utf8)
    var start = 0
    while start < bytes.count {
      let end = Self.end(of: bytes, from: start)
      memory.prepare(byteCount: end - start)
      try preTokenizer.cut(bytes[start..<end], into: &cuts, memory, startsText: start == 0)
      try count()
      start = end
    }
  }

  private mutating func count() throws(TokenizerError) {
    let (text, pieces) = (cuts.text, cuts.pieces)
    try text.withUnsafeBufferPointer { (text) throws(TokenizerError) in
      for piece in pieces { try corpus.add(UnsafeBufferPointer(rebasing: text[piece])) }
    }
  }

  /// Where a stretch may end: after a line, before a visible character, where known patterns cut anyway.
  private static func end(of bytes: [UInt8], from start: Int) -> Int {
    var end = start + stretch
    while end < bytes.count {
      if bytes[end - 1] == UInt8(ascii: "\n"), !(bytes[end] == 32 || (9...13).contains(bytes[end])) { return end }
      end += 1
    }
    return bytes.count
  }

  /// The tokenizer; `report` is told how many tokens there are. Throws when no text was added.
  ///
  /// It has fewer tokens than asked for when no pair comes twice any more.
  public func train(report: (_ tokens: Int) throws -> Void = { _ in }) throws -> TokenizerDescription {
    guard !corpus.counts.isEmpty else {
      throw TokenizerError.invalid(field: "corpus", reason: "there is no text to learn merges from")
    }
    var learnt = LearntVocabulary(specialTokens)
    var merging = PairMerging(corpus, letters: learnt.letters)
    while learnt.count < vocabularySize,
      let merge = merging.merge(atLeast: Self.leastCount, as: { learnt.token(of: $0) })
    {
      learnt.merges.append(merge)
      try report(learnt.count)
    }
    return learnt.description(steps)
  }
}

/// The tokens learnt so far, by their spellings in the byte alphabet.
private struct LearntVocabulary {
  var merges: [ResolvedMerge] = []
  /// The token of each byte.
  let letters: [Int32]
  private var spellings: [String]
  private var tokens: [String: Int32]
  private let specialCount: Int

  var count: Int { spellings.count }

  init(_ specialTokens: [String]) {
    specialCount = specialTokens.count
    spellings = specialTokens
    var letters = [Int32](repeating: 0, count: 256)
    for byte in ByteAlphabet.bytes where byte >= 0 {
      letters[Int(byte)] = Int32(spellings.count)
      spellings.append(ByteAlphabet.spelling(of: [UInt8(byte)]))
    }
    self.letters = letters
    tokens = Dictionary(zip(spellings, 0..<Int32(spellings.count)), uniquingKeysWith: { first, _ in first })
  }

  /// The token that a pair makes: two ways to one spelling make one token.
  mutating func token(of pair: TokenPair) -> Int32 {
    let spelling = spellings[Int(pair.left)] + spellings[Int(pair.right)]
    if let token = tokens[spelling] { return token }
    let token = Int32(spellings.count)
    tokens[spelling] = token
    spellings.append(spelling)
    return token
  }

  func description(_ steps: [PreTokenizerStep]) -> TokenizerDescription {
    var list = StringTable()
    // A pair that was merged in two rounds has the rank of the last, as in the reference.
    var seen: Set<TokenPair> = []
    var kept: [ResolvedMerge] = []
    for merge in merges.reversed() where seen.insert(TokenPair(left: merge.left, right: merge.right)).inserted {
      kept.append(merge)
    }
    for merge in kept.reversed() {
      list.append((spellings[Int(merge.left)] + " " + spellings[Int(merge.right)]).utf8)
    }
    var table = StringTable()
    for spelling in spellings { table.append(spelling.utf8) }
    let kinds = spellings.indices.map { $0 < specialCount ? TokenKind.control : .normal }
    var result = TokenizerDescription(
      tokens: table, kinds: kinds, model: .bytePairs(BytePairRules(merges: list)), preTokenizer: steps)
    result.addTokensFoundInText()
    result.endToken = 0
    return result
  }
}
