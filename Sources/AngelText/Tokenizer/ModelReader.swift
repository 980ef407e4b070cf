import AngelCore

/// Reads the `model` of a `tokenizer.json`.
struct ModelReader {
  /// A vocabulary and the way it is used; the unknown token is not looked up yet where it is known by name.
  struct Result {
    var tokens: StringTable
    var kinds: [TokenKind]
    var model: TokenizerModel
  }

  private let model: JSONValue

  init(_ model: JSONValue) { self.model = model }

  func read() throws(TokenizerError) -> Result {
    // Files of the first versions do not name the type; only byte-pair encodings have merges.
    switch model["type"]?.string ?? (model["merges"] == nil ? "none" : "BPE") {
    case "BPE": return try bytePairs()
    case "Unigram": return try unigram()
    case "WordPiece": return try wordPiece()
    case let type: throw .unsupported(feature: "model", value: type, supported: ["BPE", "Unigram", "WordPiece"])
    }
  }

  private func bytePairs() throws(TokenizerError) -> Result {
    if let dropout = model["dropout"]?.double, dropout != 0 {
      throw .unsupported(feature: "model dropout", value: "\(dropout)", supported: ["none"])
    }
    for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let text = model[field]?.string, !text.isEmpty {
        throw .unsupported(feature: "model \(field)", value: text, supported: ["none"])
      }
    }
    var rules = BytePairRules(merges: try merges())
    rules.ignoresMerges = try model.flag("ignore_merges") ?? false
    rules.fusesUnknowns = try model.flag("fuse_unk") ?? false
    rules.fallsBackToBytes = try model.flag("byte_fallback") ?? false
    let (tokens, kinds) = try vocabulary()
    return Result(tokens: tokens, kinds: kinds, model: .bytePairs(rules))
  }

  private func wordPiece() throws(TokenizerError) -> Result {
    var rules = WordPieceRules(unknownToken: -1)
    rules.continuationPrefix = model["continuing_subword_prefix"]?.string ?? rules.continuationPrefix
    if let longest = model["max_input_chars_per_word"], !longest.isNull {
      guard let longest = longest.integer else {
        throw .invalid(field: "max_input_chars_per_word", reason: "it is \(longest.kind), not a whole number")
      }
      rules.longestWord = longest
    }
    let (tokens, kinds) = try vocabulary()
    return Result(tokens: tokens, kinds: kinds, model: .wordPiece(rules))
  }

  /// Tokens and scores as `[["text", -1.5], …]`.
  private func unigram() throws(TokenizerError) -> Result {
    guard let list = model["vocab"]?.array else { throw .missing(field: "model.vocab") }
    var tokens = StringTable()
    tokens.reserve(entries: list.count, byteCount: 8 * list.count)
    var scores: [Double] = []
    for (index, entry) in list.enumerated() {
      guard let pair = entry.array, pair.count == 2, let text = pair[0].string, let score = pair[1].double else {
        throw .invalid(field: "model.vocab", reason: "entry \(index) is not a text and a number")
      }
      tokens.append(text.utf8)
      scores.append(score)
    }
    var rules = UnigramRules(scores: scores)
    rules.fallsBackToBytes = try model.flag("byte_fallback") ?? false
    if let id = model["unk_id"], !id.isNull {
      guard let id = id.integer, id >= 0, id < list.count else {
        throw .invalid(field: "model.unk_id", reason: "it is not one of the \(list.count) tokens")
      }
      rules.unknownToken = Int32(id)
    }
    return Result(
      tokens: tokens, kinds: Array(repeating: .normal, count: list.count), model: .unigram(rules))
  }

  private func vocabulary() throws(TokenizerError) -> (tokens: StringTable, kinds: [TokenKind]) {
    guard let object = model["vocab"]?.object else { throw .missing(field: "model.vocab") }
    // A few holes happen; ids far beyond the number of tokens are an error, not an allocation.
    let limit = 4 * object.members.count + 65_536
    var memberOfToken: [Int32] = []
    for (index, member) in object.members.enumerated() {
      guard let id = member.value.integer, id >= 0, id < limit else {
        throw .invalid(field: "model.vocab", reason: "token '\(member.key)' has no id in 0..<\(limit)")
      }
      while memberOfToken.count <= id { memberOfToken.append(-1) }
      guard memberOfToken[id] < 0 else {
        throw .invalid(field: "model.vocab", reason: "token '\(member.key)' has the id \(id) of another token")
      }
      memberOfToken[id] = Int32(index)
    }
    var tokens = StringTable()
    tokens.reserve(entries: memberOfToken.count, byteCount: 8 * memberOfToken.count)
    for member in memberOfToken { tokens.append(member < 0 ? "".utf8 : object.members[Int(member)].key.utf8) }
    return (tokens, memberOfToken.map { $0 < 0 ? .unused : .normal })
  }

  /// Merges as `"left right"` or, in newer files, `["left", "right"]`.
  private func merges() throws(TokenizerError) -> StringTable {
    guard let list = model["merges"]?.array else { throw .missing(field: "model.merges") }
    var merges = StringTable()
    merges.reserve(entries: list.count, byteCount: 12 * list.count)
    for (rank, merge) in list.enumerated() {
      if let text = merge.string {
        merges.append(text.utf8)
      } else if let pair = merge.array, pair.count == 2, let left = pair[0].string, let right = pair[1].string {
        merges.append("\(left) \(right)".utf8)
      } else {
        throw .invalid(field: "merge \(rank)", reason: "it is neither a text nor a pair of texts")
      }
    }
    return merges
  }
}
