/// Finds the latest place where the text's last tokens occurred before, with as many of them as possible, and guesses that the
/// text goes on as it did there (prompt lookup; arXiv:2304.04487, §3).
struct LookupGuesser: Guesser {
  /// Fewer tokens in common than this say nothing; more than `longest` are not counted.
  private static let shortest = 2
  private static let longest = 12
  /// Earlier places looked at.
  private static let candidates = 16

  /// How many to make: what is found in no time has in its rank how often such guesses are right.
  static let depth = SpeculationDepth(probabilities: [0.3, 0.45, 0.6, 0.75], guessSeconds: 0)

  /// The latest position at which a pair of tokens ends, and for each position the one before with the same pair; −1: none.
  private var latest: [Pair: Int32] = [:]
  private var earlier: [Int32] = []
  /// Where the text went on, after as many tokens in common.
  private var match: (position: Int, length: Int)?

  private struct Pair: Hashable {
    let first: Int32
    let second: Int32
  }

  mutating func rank(after tokens: [Int32]) -> Int? {
    read(tokens)
    match = bestMatch(in: tokens)
    // 2, 3, 4 to 7, 8 and more.
    return match.map { $0.length < 4 ? $0.length - Self.shortest : $0.length < 8 ? 2 : 3 }
  }

  func guesses(after tokens: [Int32], count: Int, sampler: Sampler, step: Int) -> [Int32] {
    guesses(after: tokens, count: count)
  }

  /// `count` guesses at what follows `tokens`, whose rank was asked for last.
  func guesses(after tokens: [Int32], count: Int) -> [Int32] {
    guard let match else { return [] }
    var guesses: [Int32] = []
    while guesses.count < count {
      // Beyond the end of the text its own guesses go on: a loop goes round.
      let index = match.position + guesses.count
      guesses.append(index < tokens.count ? tokens[index] : guesses[index - tokens.count])
    }
    return guesses
  }

  /// Takes in what has been added to the text.
  private mutating func read(_ tokens: [Int32]) {
    for position in earlier.count..<tokens.count {
      let pair = position > 0 ? Pair(first: tokens[position - 1], second: tokens[position]) : nil
      earlier.append(pair.flatMap { latest.updateValue(Int32(position), forKey: $0) } ?? -1)
    }
  }

  private func bestMatch(in text: [Int32]) -> (position: Int, length: Int)? {
    guard text.count > Self.shortest else { return nil }
    let end = text.count - 1
    var best: (position: Int, length: Int)?
    var place = Int(earlier[end])
    for _ in 0..<Self.candidates where place >= 0 {
      var length = Self.shortest
      while length < Self.longest, length <= place, text[place - length] == text[end - length] { length += 1 }
      if length > best?.length ?? 0 { best = (place + 1, length) }
      if length == Self.longest { break }
      place = Int(earlier[place])
    }
    return best
  }
}
