import AngelCore

/// The distinct words of a corpus as tokens, and the pairs in them: what learning merges works on.
///
/// Counts of pairs are kept as words change, and candidates in a heap by count and pair, so a merge costs what it changes.
/// A candidate's count may be out of date; it is corrected when it comes up, as in `BpeTrainer` of `tokenizers`.
struct PairMerging {
  /// A pair and the words in which it came up.
  private struct Candidate: Comparable, Sendable {
    var count: Int
    let pair: TokenPair
    let words: [Int32]

    /// The most frequent comes first; among equals the one whose tokens are older.
    static func < (one: Candidate, other: Candidate) -> Bool {
      one.count != other.count
        ? one.count > other.count : (one.pair.left, one.pair.right) < (other.pair.left, other.pair.right)
    }

    static func == (one: Candidate, other: Candidate) -> Bool { one.count == other.count && one.pair == other.pair }
  }

  /// Tokens of all words; word `i` begins at `starts[i]` and has `lengths[i]`, fewer as pairs merge.
  private var symbols: [Int32] = []
  private var starts: [Int] = []
  private var lengths: [Int32] = []
  private let wordCounts: [Int]
  private var pairCounts: [TokenPair: Int] = [:]
  private var places: [TokenPair: [Int32]] = [:]
  private var heap = MinimumHeap<Candidate>()

  /// The words of `corpus`, each byte as the token that `letters` has for it.
  init(_ corpus: PieceCounts, letters: [Int32]) {
    wordCounts = corpus.counts
    symbols = corpus.pieces.bytes.map { letters[Int($0)] }
    starts = corpus.pieces.offsets.dropLast().map(Int.init)
    lengths = zip(corpus.pieces.offsets, corpus.pieces.offsets.dropFirst()).map { Int32($1 - $0) }
    for word in starts.indices {
      for place in starts[word]..<max(starts[word], starts[word] + Int(lengths[word]) - 1) {
        change(TokenPair(left: symbols[place], right: symbols[place + 1]), by: wordCounts[word], in: word)
      }
    }
    pushChanged()
  }

  /// The pair to merge next, with the words it is in; nil when none comes at least `least` times.
  private mutating func next(atLeast least: Int) -> Candidate? {
    while var candidate = heap.pop() {
      let count = pairCounts[candidate.pair] ?? 0
      if count == candidate.count { return count < least ? nil : candidate }
      candidate.count = count
      heap.push(candidate)
    }
    return nil
  }

  /// Merges the most frequent pair into the token that `name` gives it; nil when none comes at least `least` times.
  mutating func merge(atLeast least: Int, as name: (TokenPair) -> Int32) -> ResolvedMerge? {
    guard let best = next(atLeast: least) else { return nil }
    let merge = ResolvedMerge(left: best.pair.left, right: best.pair.right, result: name(best.pair))
    for word in best.words { apply(merge, to: Int(word)) }
    pushChanged()
    return merge
  }

  private mutating func apply(_ merge: ResolvedMerge, to word: Int) {
    let count = wordCounts[word]
    let (start, end) = (starts[word], starts[word] + Int(lengths[word]))
    var (read, write) = (start, start)
    while read < end {
      let symbol = symbols[read]
      guard symbol == merge.left, read + 1 < end, symbols[read + 1] == merge.right else {
        symbols[write] = symbol
        (read, write) = (read + 1, write + 1)
        continue
      }
      if write > start {
        let before = symbols[write - 1]
        change(TokenPair(left: before, right: merge.left), by: -count, in: word)
        change(TokenPair(left: before, right: merge.result), by: count, in: word)
      }
      symbols[write] = merge.result
      (read, write) = (read + 2, write + 1)
      if read < end {
        let after = symbols[read]
        change(TokenPair(left: merge.right, right: after), by: -count, in: word)
        change(TokenPair(left: merge.result, right: after), by: count, in: word)
      }
    }
    lengths[word] = Int32(write - start)
  }

  private mutating func change(_ pair: TokenPair, by count: Int, in word: Int) {
    pairCounts[pair, default: 0] += count
    guard count > 0 else { return }
    let word = Int32(word)
    // Words come one after the other, so a word that is there already is the last.
    if let last = places[pair]?.last, last == word { return }
    places[pair, default: []].append(word)
  }

  /// Makes candidates of the pairs that have come up since the last time.
  private mutating func pushChanged() {
    for (pair, words) in places {
      let count = pairCounts[pair] ?? 0
      if count > 0 { heap.push(Candidate(count: count, pair: pair, words: words)) }
    }
    places.removeAll(keepingCapacity: true)
  }
}
