import AngelCore

/// Turns one piece into tokens by merging the neighbours whose text is the token of the highest score, leftmost among
/// equals.
///
/// As in sentencepiece's `bpe_model.cc`; a heap keeps a long piece of n bytes at O(n log n).
struct ScoredPairMerger: Sendable {
  private struct Symbol: Sendable {
    var start: Int32
    /// Zero when merged into the symbol before.
    var count: Int32
    var previous: Int32
    var next: Int32
    /// The token that this symbol's text is, -1 where it is none.
    var token: Int32
  }

  struct Pair: Sendable {
    /// Rank and, below it, the left symbol.
    var key: UInt64
    var token: Int32
    var count: Int32
  }

  private var symbols: [Symbol] = []
  private var heap = MinimumHeap<Pair>()
  /// How many bytes of an unused token were the left one's: such tokens are taken apart again.
  private var leftCounts: [Int32: Int32] = [:]

  /// Appends the tokens of `piece`.
  mutating func encode(
    _ piece: UnsafeBufferPointer<UInt8>, with model: ScoredPairModel, into output: inout [Int32]
  ) {
    model.spellings.withEntries { entries in
      spell(piece, model, entries)
      merge(piece, model, entries)
      write(piece, model, entries, into: &output)
    }
  }

  private mutating func spell(_ piece: UnsafeBufferPointer<UInt8>, _ model: ScoredPairModel, _ entries: EntryView) {
    symbols.removeAll(keepingCapacity: true)
    leftCounts.removeAll(keepingCapacity: true)
    var position = 0
    while position < piece.count {
      let end = piece.characterEnd(after: position)
      let index = Int32(symbols.count)
      let token = model.index.find(UnsafeBufferPointer(rebasing: piece[position..<end]), in: entries) ?? -1
      symbols.append(
        Symbol(start: Int32(position), count: Int32(end - position), previous: index - 1, next: index + 1, token: token)
      )
      position = end
    }
    if !symbols.isEmpty { symbols[symbols.count - 1].next = -1 }
  }

  private mutating func merge(_ piece: UnsafeBufferPointer<UInt8>, _ model: ScoredPairModel, _ entries: EntryView) {
    heap.removeAll()
    for index in symbols.indices.dropLast() { push(index, index + 1, piece, model, entries) }
    while let pair = heap.pop() {
      let left = Int(pair.key & 0xFFFF_FFFF)
      let right = Int(symbols[left].next)
      // A pair that has changed since it was pushed is longer, or its left symbol is gone.
      guard symbols[left].count > 0, right >= 0, symbols[left].count + symbols[right].count == pair.count else {
        continue
      }
      symbols[left].count = pair.count
      symbols[left].token = pair.token
      symbols[right].count = 0
      let after = Int(symbols[right].next)
      symbols[left].next = Int32(after)
      if after >= 0 {
        symbols[after].previous = Int32(left)
        push(left, after, piece, model, entries)
      }
      let before = Int(symbols[left].previous)
      if before >= 0 { push(before, left, piece, model, entries) }
    }
  }

  @inline(__always)
  private mutating func push(
    _ left: Int, _ right: Int, _ piece: UnsafeBufferPointer<UInt8>, _ model: ScoredPairModel, _ entries: EntryView
  ) {
    let start = Int(symbols[left].start)
    let count = symbols[left].count + symbols[right].count
    let text = UnsafeBufferPointer(rebasing: piece[start..<(start + Int(count))])
    guard let token = model.index.find(text, in: entries) else { return }
    if model.isUnused(token) { leftCounts[token] = symbols[left].count }
    heap.push(Pair(key: UInt64(model.rank(token)) << 32 | UInt64(left), token: token, count: count))
  }

  private func write(
    _ piece: UnsafeBufferPointer<UInt8>, _ model: ScoredPairModel, _ entries: EntryView, into output: inout [Int32]
  ) {
    var previousIsUnknown = false
    for symbol in symbols where symbol.count > 0 {
      let text = UnsafeBufferPointer(rebasing: piece[Int(symbol.start)..<Int(symbol.start + symbol.count)])
      if symbol.token >= 0 {
        write(symbol.token, text, model, entries, into: &output)
        previousIsUnknown = false
      } else if model.byteTokens?.append(text, to: &output) != true {
        if let unknown = model.unknownToken, !previousIsUnknown { output.append(unknown) }
        previousIsUnknown = true
      }
    }
  }

  /// Appends a token or, where it is unused, the two it was made of.
  private func write(
    _ token: Int32, _ text: UnsafeBufferPointer<UInt8>, _ model: ScoredPairModel, _ entries: EntryView,
    into output: inout [Int32]
  ) {
    guard model.isUnused(token), let leftCount = leftCounts[token], leftCount < text.count else {
      output.append(token)
      return
    }
    for part in [text[..<Int(leftCount)], text[Int(leftCount)...]] {
      let part = UnsafeBufferPointer(rebasing: part)
      if let token = model.index.find(part, in: entries) { write(token, part, model, entries, into: &output) }
    }
  }
}

extension ScoredPairMerger.Pair: Comparable {
  static func < (a: Self, b: Self) -> Bool { a.key < b.key }
}
