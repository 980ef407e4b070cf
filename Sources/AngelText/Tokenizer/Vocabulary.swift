import AngelCore

/// A description's tokens with its added tokens in their places, checked.
struct Vocabulary {
  var spellings: StringTable
  /// What each token stands for: the byte alphabet undone, added tokens as they are written.
  var bytes: StringTable
  var kinds: [TokenKind]
  var index: SpellingIndex
  /// Whether merges and whole pieces may produce a token: part of the model and spelled in the byte alphabet.
  var isModelToken: (Int) -> Bool

  init(_ description: TokenizerDescription) throws(TokenizerError) {
    let modelCount = description.tokens.count
    guard modelCount > 0 else { throw .missing(field: "vocabulary") }
    guard description.kinds.isEmpty || description.kinds.count == modelCount else {
      throw .invalid(field: "token kinds", reason: "\(description.kinds.count) kinds for \(modelCount) tokens")
    }
    let added = try Self.added(description)
    (spellings, kinds) = Self.table(description, added)
    bytes = StringTable()
    bytes.reserve(entries: spellings.count, byteCount: spellings.bytes.count)
    let isInAlphabet = Self.decode(spellings, added, into: &bytes)
    let spellings = spellings
    index = SpellingIndex(spellings) { !spellings[$0].isEmpty }
    isModelToken = { $0 < modelCount && isInAlphabet[$0] }
    try Self.checkRoles(description, count: spellings.count)
  }

  /// Appends each token's bytes; the result says which tokens are spelled in the byte alphabet.
  private static func decode(
    _ spellings: StringTable, _ added: [Int32: AddedToken], into bytes: inout StringTable
  ) -> [Bool] {
    var isInAlphabet = [Bool](repeating: true, count: spellings.count)
    for id in added.keys { isInAlphabet[Int(id)] = false }
    var buffer: [UInt8] = []
    spellings.withEntries { entries in
      for token in 0..<entries.count {
        buffer.removeAll(keepingCapacity: true)
        if isInAlphabet[token] { isInAlphabet[token] = ByteAlphabet.decode(entries[token], into: &buffer) }
        if isInAlphabet[token] { bytes.append(buffer) } else { bytes.append(entries[token]) }
      }
    }
    return isInAlphabet
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
    var spellings = StringTable()
    spellings.reserve(entries: count, byteCount: description.tokens.bytes.count + 32 * added.count)
    var kinds: [TokenKind] = []
    kinds.reserveCapacity(count)
    kinds.append(contentsOf: description.kinds)
    while kinds.count < modelCount { kinds.append(.normal) }
    while kinds.count < count { kinds.append(.unused) }
    for token in added.values { kinds[Int(token.id)] = token.isSpecial ? .control : .userDefined }
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
      ("unknown byte token", description.unknownByteToken),
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
