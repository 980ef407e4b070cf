import AngelCore

extension MergeTable {
  /// The merges of a list, each `left right` with one space, as tokens of `vocabulary`.
  init(_ list: StringTable, _ vocabulary: Vocabulary) throws(TokenizerError) {
    self.init(capacity: list.count)
    // In two passes: look-ups wait for memory, and those of one kind in a row wait together.
    insert(try Self.resolved(list, vocabulary))
  }

  private static func resolved(
    _ list: StringTable, _ vocabulary: Vocabulary
  ) throws(TokenizerError) -> [ResolvedMerge] {
    var result: [ResolvedMerge] = []
    result.reserveCapacity(list.count)
    try list.withEntries { (merges) throws(TokenizerError) in
      try vocabulary.spellings.withEntries { (tokens) throws(TokenizerError) in
        var resolver = MergeResolver(tokens, vocabulary.index)
        for rank in 0..<merges.count {
          guard let merge = resolver.resolve(merges[rank]) else {
            throw .invalid(
              field: "merge \(rank)",
              reason: "'\(list.string(rank))' is not two tokens and one space that make a token")
          }
          result.append(merge)
        }
      }
    }
    return result
  }
}

/// A merge of two tokens into one.
struct ResolvedMerge {
  var left: Int32
  var right: Int32
  var result: Int32
}

/// Finds the tokens of merges.
private struct MergeResolver {
  private let tokens: EntryView
  private let index: SpellingIndex
  /// What the last merge made: vocabularies mostly have the results in the order of the merges.
  private var last: Int32 = -1
  private var joined: [UInt8] = []

  init(_ tokens: EntryView, _ index: SpellingIndex) {
    self.tokens = tokens
    self.index = index
  }

  mutating func resolve(_ text: UnsafeBufferPointer<UInt8>) -> ResolvedMerge? {
    let space = UInt8(ascii: " ")
    guard let cut = text.firstIndex(of: space) else { return nil }
    let left = UnsafeBufferPointer(rebasing: text[..<cut])
    let right = UnsafeBufferPointer(rebasing: text[(cut + 1)...])
    guard !right.contains(space), let result = result(left, right), let left = index.find(left, in: tokens),
      let right = index.find(right, in: tokens)
    else { return nil }
    last = result
    return ResolvedMerge(left: left, right: right, result: result)
  }

  private mutating func result(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Int32? {
    if let next = next(left, right) { return next }
    joined.removeAll(keepingCapacity: true)
    joined.append(contentsOf: left)
    joined.append(contentsOf: right)
    return joined.withUnsafeBufferPointer { index.find($0, in: tokens) }
  }

  /// The token after the last result, if it is the one; that there is no equal one before it is what `find` would say.
  private func next(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Int32? {
    guard last >= 0, Int(last) + 1 < tokens.count else { return nil }
    let candidate = tokens[Int(last) + 1]
    guard candidate.count == left.count + right.count else { return nil }
    guard UnsafeBufferPointer(rebasing: candidate[..<left.count]).isEqual(to: left),
      UnsafeBufferPointer(rebasing: candidate[left.count...]).isEqual(to: right)
    else { return nil }
    return last + 1
  }
}
