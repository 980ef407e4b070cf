import AngelCore

/// A description's tokens with its added tokens in their places, checked.
struct Vocabulary {
  var spellings: StringTable
  var kinds: [TokenKind]
  var index: SpellingIndex

  init(_ description: TokenizerDescription) throws(TokenizerError) {
    let modelCount = description.tokens.count
    guard modelCount > 0 else { throw .missing(field: "vocabulary") }
    guard description.kinds.isEmpty || description.kinds.count == modelCount else {
      throw .invalid(field: "token kinds", reason: "\(description.kinds.count) kinds for \(modelCount) tokens")
    }
    if let count = description.model.scoreCount, count != modelCount {
      throw .invalid(field: "scores", reason: "\(count) for \(modelCount) tokens")
    }
    let added = try Self.added(description)
    (spellings, kinds) = Self.table(description, added)
    let spellings = spellings
    index = spellings.withEntries { entries in SpellingIndex(spellings) { !entries[$0].isEmpty } }
    try Self.checkRoles(description, count: spellings.count)
  }

  /// The added tokens by id.
  private static func added(_ description: TokenizerDescription) throws(TokenizerError) -> [Int32: AddedToken] {
    var result: [Int32: AddedToken] = [:]
    // Ids may leave holes, but a file may not make us allocate for ids it has no tokens for.
    let limit = 4 * (description.tokens.count + description.addedTokens.count) + 65_536
    for token in description.addedTokens {
      let id = Int(token.id)
      guard id >= 0, id < limit else {
        throw .invalid(field: "added token '\(token.content)'", reason: "id \(id) is not in 0..<\(limit)")
      }
      guard token.content.utf8.count <= AddedTokenMatcher.longestContent else {
        throw .invalid(
          field: "added token \(id)", reason: "its text is longer than \(AddedTokenMatcher.longestContent) bytes")
      }
      if let other = result[token.id], !other.content.utf8.elementsEqual(token.content.utf8) {
        throw .invalid(field: "added tokens", reason: "'\(other.content)' and '\(token.content)' share id \(id)")
      }
      if id < description.tokens.count, !description.tokens[id].isEmpty,
        !description.tokens[id].elementsEqual(token.content.utf8)
      {
        throw .invalid(
          field: "added token '\(token.content)'",
          reason: "its id \(id) belongs to token '\(description.tokens.string(id))'")
      }
      result[token.id] = token
    }
    return result
  }

  private static func table(
    _ description: TokenizerDescription, _ added: [Int32: AddedToken]
  ) -> (StringTable, [TokenKind]) {
    let modelCount = description.tokens.count
    let count = max(modelCount, Int(added.keys.max() ?? -1) + 1)
    var kinds: [TokenKind] = []
    kinds.reserveCapacity(count)
    kinds.append(contentsOf: description.kinds)
    kinds.append(contentsOf: repeatElement(.normal, count: modelCount - kinds.count))
    kinds.append(contentsOf: repeatElement(.unused, count: count - modelCount))
    for token in added.values { kinds[Int(token.id)] = token.isSpecial ? .control : .userDefined }
    // Mostly every added token is in the model's list already, which is then taken as it is.
    let isComplete = added.keys.allSatisfy { Int($0) < modelCount && !description.tokens[Int($0)].isEmpty }
    if isComplete { return (description.tokens, kinds) }
    var spellings = StringTable()
    spellings.reserve(entries: count, byteCount: description.tokens.bytes.count + 32 * added.count)
    description.tokens.withEntries { entries in
      for id in 0..<count {
        if id < modelCount, !entries[id].isEmpty {
          spellings.append(entries[id])
        } else {
          spellings.append((added[Int32(id)]?.content ?? "").utf8)
        }
      }
    }
    return (spellings, kinds)
  }

  private static func checkRoles(_ description: TokenizerDescription, count: Int) throws(TokenizerError) {
    let roles: [(String, Int32?)] = [
      ("begin token", description.beginToken), ("end token", description.endToken),
      ("padding token", description.paddingToken), ("unknown token", description.unknownToken),
      ("model's unknown token", description.model.unknownToken),
    ]
    let template = (description.prefix + description.suffix).map { ("template token", Int32?.some($0)) }
    for (name, token) in roles + template {
      guard let token else { continue }
      guard token >= 0, Int(token) < count else {
        throw .invalid(field: name, reason: "\(token) is not in the vocabulary of \(count)")
      }
    }
  }
}

extension TokenizerModel {
  /// The token that stands for what the model cannot spell.
  var unknownToken: Int32? {
    switch self {
    case .bytePairs(let rules): rules.unknownToken
    case .scoredPairs(let rules): rules.unknownToken
    case .unigram(let rules): rules.unknownToken
    case .wordPiece(let rules): rules.unknownToken
    }
  }

  /// The number of scores, where the model has them.
  var scoreCount: Int? {
    switch self {
    case .scoredPairs(let rules): rules.scores.count
    case .unigram(let rules): rules.scores.count
    case .bytePairs, .wordPiece: nil
    }
  }
}
