/// How many tokens to guess in a step: the number that is expected to give the most tokens per second, by what steps of so many
/// rows have cost so far and how often guesses of each rank were right.
///
/// With a probability p that a guess is right where those before it were, k guesses give p + … + p^k tokens more
/// (arXiv:2211.17192, §3.1), for the cost of k rows more and of the guesses.
struct SpeculationDepth {
  /// The most guesses for one sequence.
  static let limit = 7
  /// Steps with guesses have as many rows as one of these: each number is recorded by itself.
  private static let stepSizes = [1, 2, 3, 4, 6, 8, 12, 16]
  /// Rows of all the steps that one sequence may take.
  static let recordedRows = stepSizes.reduce(0) { $1 <= limit + 1 ? $0 + $1 : $0 }
  /// More sequences than this share a step without guesses: there are hardly any rows left for them.
  static let sequenceLimit = 12

  /// A sequence for which guesses can be made.
  struct Candidate: Equatable {
    var rank: Int
    /// The most guesses.
    var limit: Int
  }

  /// Guesses of one rank.
  private struct Rank {
    /// Those that were right, and all whose turn came, the latest counting most.
    var right: Double
    var tried: Double
    var probability: Double { right / tried }
  }

  /// Seconds of a step, by its rows.
  private var stepSeconds: [Int: Double] = [:]
  /// Seconds of a guess; nil: not seen.
  private var guessSeconds: Double?
  private var ranks: [Rank]
  /// Steps without guesses since there were any, and how often they were tried though they did not seem to pay.
  private var idleSteps = 0
  private var trials = 0
  /// The share of the time that trials may cost at first; each one halves it, down to a sixteenth.
  private static let trialShare = 0.015

  /// - Parameters:
  ///   - probabilities: for each rank, how often its guesses are thought to be right before any was made.
  ///   - guessSeconds: what a guess costs, where that is known before.
  init(probabilities: [Double], guessSeconds: Double? = nil) {
    ranks = probabilities.map { Rank(right: 2 * $0, tried: 2) }
    self.guessSeconds = guessSeconds
  }

  /// How many guesses to make for each of the candidates, in a step of these and `others` sequences and at most `rows` rows.
  mutating func counts(for candidates: [Candidate], beside others: Int = 0, rows: Int = .max) -> [Int] {
    let base = candidates.count + others
    let guesses = guessesByWorth(candidates)
    var counts = [Int](repeating: 0, count: candidates.count)
    let sizes = Self.stepSizes.filter { $0 > base && $0 <= rows && $0 - base <= guesses.count }
    guard let least = sizes.first else { return counts }
    var size = base
    // The fewest are enough to see what they cost.
    if guessSeconds == nil { size = least } else { size = bestSize(sizes, guesses.map(\.probability), base: base) }
    if size > base {
      (idleSteps, trials) = (0, 0)
    } else {
      idleSteps += 1
      let cost = seconds(rows: least, guesses: least - base) / seconds(rows: base, guesses: 0) - 1
      if Double(idleSteps) >= cost / Self.trialShare * Double(1 << min(trials, 4)) {
        (idleSteps, trials, size) = (0, trials + 1, least)
      }
    }
    for guess in guesses.prefix(size - base) { counts[guess.candidate] += 1 }
    return counts
  }

  /// All guesses that could be made, the likeliest to be right first; those of one sequence in their order.
  private func guessesByWorth(_ candidates: [Candidate]) -> [(candidate: Int, probability: Double)] {
    var guesses: [(candidate: Int, probability: Double)] = []
    for (index, candidate) in candidates.enumerated() {
      var probability = 1.0
      for _ in 0..<min(candidate.limit, Self.limit) {
        probability *= ranks[candidate.rank].probability
        guesses.append((index, probability))
      }
    }
    // The sort is not stable by itself.
    return guesses.enumerated().sorted {
      ($1.element.probability, $0.offset) < ($0.element.probability, $1.offset)
    }.map(\.element)
  }

  private func bestSize(_ sizes: [Int], _ probabilities: [Double], base: Int) -> Int {
    var (best, bestRate) = (base, Double(base) / seconds(rows: base, guesses: 0))
    for size in sizes {
      let expected = probabilities.prefix(size - base).reduce(Double(base), +)
      let rate = expected / seconds(rows: size, guesses: size - base)
      // What hardly pays is not worth its noise.
      if rate > bestRate * 1.02 { (best, bestRate) = (size, rate) }
    }
    return best
  }

  /// Learns what became of guesses: how many were right before the first that was not.
  mutating func note(rank: Int, guessed: Int, right: Int) {
    guard guessed > 0 else { return }
    ranks[rank].right = 0.9 * ranks[rank].right + Double(right)
    ranks[rank].tried = 0.9 * ranks[rank].tried + Double(min(right + 1, guessed))
  }

  /// Learns what making a guess cost.
  mutating func note(guessSeconds seconds: Double) {
    guessSeconds = guessSeconds.map { Self.mean($0, seconds) } ?? seconds
  }

  /// Learns what a step of so many rows cost.
  mutating func note(rows: Int, seconds: Double) {
    // The first of a size is slower, for it is recorded; and a neighbour on the core makes one step many times as slow, which
    // says nothing about the next.
    stepSeconds[rows] =
      stepSeconds[rows].map { Self.mean($0, min(seconds, 2 * $0)) }
      ?? (stepSeconds.isEmpty ? seconds : min(seconds, self.seconds(rows: rows, guesses: 0)))
  }

  /// A mean in which the latest counts a fifth.
  private static func mean(_ mean: Double, _ value: Double) -> Double { mean + 0.2 * (value - mean) }

  /// Seconds of a step and of the guesses in it, as measured, or as the nearest smaller step and a first guess of what a row adds
  /// have it.
  private func seconds(rows: Int, guesses: Int) -> Double {
    let guessing = Double(guesses) * (guessSeconds ?? 0)
    if let known = stepSeconds[rows] { return known + guessing }
    func cost(_ rows: Int) -> Double { 1 + Self.rowCost * Double(rows - 1) }
    let near = stepSeconds.keys.filter { $0 < rows }.max() ?? stepSeconds.keys.min()
    guard let near, let known = stepSeconds[near] else { return cost(rows) + guessing }
    return known * cost(rows) / cost(near) + guessing
  }

  /// What a row adds to a step, in steps of one row, where nothing was measured.
  private static let rowCost = 0.25
}
