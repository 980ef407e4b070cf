import AngelCore
import AngelText

extension GGUFTokenizer {
  typealias Entry = (key: String, value: GGUFValue)

  /// The metadata under `tokenizer.` for a description, with entries up to `vocabularySize`, the rows of the embedding.
  ///
  /// Throws naming what the format has no words for; `path` is for messages.
  static func metadata(
    of description: TokenizerDescription, vocabularySize: Int, endTokens: [Int32], chatTemplate: String?, path: String
  ) throws(CheckpointError) -> [Entry] {
    // BERT's folders and bare tokenizer.json files give these tokens no roles: their places do.
    var description = description
    if description.beginToken == nil, description.prefix.count == 1 { description.beginToken = description.prefix[0] }
    if description.endToken == nil, description.suffix.count == 1 { description.endToken = description.suffix[0] }
    if case .wordPiece = description.model, description.paddingToken == nil {
      description.paddingToken = description.addedTokens.first { $0.content == "[PAD]" }?.id
    }
    let addsBegin = description.beginToken.map { description.prefix == [$0] } ?? false
    let addsEnd = description.endToken.map { description.suffix == [$0] } ?? false
    guard addsBegin || description.prefix.isEmpty, addsEnd || description.suffix.isEmpty else {
      throw impossible("it puts other tokens around a text than its begin and its end", path)
    }
    let tables = GGUFTokenTables(description, count: vocabularySize, path: path)
    let result =
      try tables.model() + roles(of: description, endTokens)
      + [("add_bos_token", .bool(addsBegin)), ("add_eos_token", .bool(addsEnd))]
    return result.map { ("tokenizer.ggml." + $0.key, $0.value) }
      + (chatTemplate.map { [("tokenizer.chat_template", .string($0))] } ?? [])
  }

  static func impossible(_ what: String, _ path: String) -> CheckpointError {
    .tokenizer(path: path, reason: "\(what), for which GGUF has no words; keep the safetensors layout")
  }

  private static func roles(of description: TokenizerDescription, _ endTokens: [Int32]) -> [Entry] {
    let other = endTokens.first { $0 != description.endToken }
    var roles = [
      ("bos_token_id", description.beginToken), ("eos_token_id", description.endToken ?? endTokens.first),
      ("eot_token_id", description.endToken == nil ? nil : other), ("unknown_token_id", description.unknownToken),
      ("padding_token_id", description.paddingToken),
    ]
    if case .wordPiece = description.model {
      roles += [
        ("cls_token_id", description.beginToken), ("seperator_token_id", description.endToken),
        ("mask_token_id", description.maskToken),
      ]
    }
    return roles.compactMap { key, token in token.map { (key, .unsigned(UInt64($0))) } }
  }
}

/// The tables of one tokenizer, by the kind of its model.
private struct GGUFTokenTables {
  private let description: TokenizerDescription
  /// How many entries there must be.
  private let count: Int
  private let path: String

  init(_ description: TokenizerDescription, count: Int, path: String) {
    self.description = description
    self.count = count
    self.path = path
  }

  func model() throws(CheckpointError) -> [GGUFTokenizer.Entry] {
    switch description.model {
    case .bytePairs(let rules):
      if let name = description.namedPreTokenizer { return try bytePairs(rules, name) }
      return try sentencePiece()
    case .scoredPairs, .unigram: return try sentencePiece()
    case .wordPiece(let rules): return try wordPiece(rules)
    }
  }

  private func bytePairs(
    _ rules: BytePairRules, _ name: NamedPreTokenizer
  ) throws(CheckpointError) -> [GGUFTokenizer.Entry] {
    guard rules.unknownToken == nil || rules.unknownToken == description.unknownToken else {
      throw GGUFTokenizer.impossible("unknown bytes become a token that is not its unknown token", path)
    }
    let (tokens, kinds) = try entries(description.tokens, description.kinds)
    return [
      ("model", .string("gpt2")), ("pre", .string(name.rawValue)), ("tokens", .strings(tokens)), kinds,
      ("merges", .strings(rules.merges)), ("add_space_prefix", .bool(false)),
    ]
  }

  private func sentencePiece() throws(CheckpointError) -> [GGUFTokenizer.Entry] {
    let pieces: SentencePieceVocabulary
    do { pieces = try SentencePieceVocabulary(description) } catch {
      throw GGUFTokenizer.impossible("it cuts text in a way of its own (\(error.description))", path)
    }
    let (tokens, kinds) = try entries(pieces.tokens, pieces.kinds)
    // Entries that the model has no scores for: added tokens have -1000 and rows beyond them -10000, as converters say.
    let others = (pieces.scores.count..<max(pieces.scores.count, count)).map { (token: Int) -> Float in
      description.addedTokens.contains { Int($0.id) == token } ? -1000 : -10_000
    }
    let isUnigram = pieces.algorithm == .unigram
    var result: [GGUFTokenizer.Entry] = [
      ("model", .string(isUnigram ? "t5" : "llama")), ("pre", .string("default")), ("tokens", .strings(tokens)),
      ("scores", .floats(pieces.scores + others)), kinds, ("add_space_prefix", .bool(pieces.addsSpacePrefix)),
    ]
    if pieces.removesExtraSpaces { result.append(("remove_extra_whitespaces", .bool(true))) }
    if !pieces.characterMap.isEmpty { result.append(("precompiled_charsmap", .bytes(pieces.characterMap))) }
    return result
  }

  private func wordPiece(_ rules: WordPieceRules) throws(CheckpointError) -> [GGUFTokenizer.Entry] {
    guard description.normalizers.count == 1, case .bert(let normalization) = description.normalizers[0],
      description.preTokenizer == [.bert], rules.unknownToken == description.unknownToken,
      rules.longestWord == WordPieceRules(unknownToken: 0).longestWord,
      normalization.cleansText, normalization.spacesChineseCharacters
    else { throw GGUFTokenizer.impossible("it cuts text in a way of its own", path) }
    let spelled = description.phantomSpaceTokens(continuation: rules.continuationPrefix)
    let (tokens, kinds) = try entries(spelled, description.kinds)
    return [
      ("model", .string("bert")), ("pre", .string("default")), ("tokens", .strings(tokens)), kinds,
      ("normalizer.lowercase", .bool(normalization.lowercases)),
      ("normalizer.strip_accents", .bool(normalization.stripsAccents)),
    ]
  }

  /// Every row of the embedding needs an entry: added tokens in their places, holes and rows beyond as unused ones.
  private func entries(
    _ spelled: StringTable, _ known: [TokenKind]
  ) throws(CheckpointError) -> (tokens: StringTable, kinds: GGUFTokenizer.Entry) {
    let added = Dictionary(description.addedTokens.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    let last = max(spelled.count, (added.keys.max().map { Int($0) + 1 }) ?? 0)
    guard last <= count else {
      throw .tokenizer(path: path, reason: "it has \(last) tokens, but the model's embedding only \(count) rows")
    }
    var tokens = StringTable()
    var kinds: [TokenKind] = []
    for index in 0..<count {
      if let token = added[Int32(index)] {
        tokens.append(token.content.utf8)
        kinds.append(token.isSpecial ? .control : .userDefined)
      } else if index < spelled.count, !spelled[index].isEmpty {
        tokens.append(spelled[index])
        kinds.append(known.isEmpty ? .normal : known[index])
      } else {
        tokens.append("[PAD\(index)]".utf8)
        kinds.append(.unused)
      }
    }
    return (tokens, ("token_type", .integers(kinds.map { Int32($0.rawValue) })))
  }
}
