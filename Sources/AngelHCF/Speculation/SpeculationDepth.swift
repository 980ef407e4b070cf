/// How many tokens to guess: the number that is expected to give the most tokens per second, by what steps of each size have
/// cost so far and how often guesses of each rank were right.
///
/// With a probability p that a guess is right where those before it were, k guesses give 1 + p + … + p^k tokens
/// (arXiv:2211.17192, §3.1) for the cost of a step of k + 1 rows and of k guesses.
struct SpeculationDepth {
  /// Rows of the steps that are recorded; guesses are one fewer.
  static let stepSizes = [1, 2, 3, 4, 6, 8]

  /// Seconds of a step, by the place of its size; nil: not seen.
  private var stepSeconds = [Double?](repeating: nil, count: stepSizes.count)
  /// Seconds of a guess; nil: not seen.
  private var guessSeconds: Double?
  private var ranks: [Rank]
  /// Steps without guesses since there were any, and how often they were tried though they did not seem to pay.
  private var idleSteps = 0
  private var trials = 0
  /// The share of the time that trials may cost at first; each one halves it, down to a sixteenth.
  private static let trialShare = 0.015

  /// Guesses of one rank.
  private struct Rank {
    /// Those that were right, and all whose turn came, the latest counting most.
    var right: Double
    var tried: Double
    var probability: Double { right / tried }
  }

  /// - Parameters:
  ///   - probabilities: for each rank, how often its guesses are thought to be right before any was made.
  ///   - guessSeconds: what a guess costs, where that is known before.
  init(probabilities: [Double], guessSeconds: Double? = nil) {
    ranks = probabilities.map { Rank(right: 2 * $0, tried: 2) }
    self.guessSeconds = guessSeconds
  }

  /// How many guesses of a rank to make, at most `limit`.
  mutating func count(rank: Int, limit: Int) -> Int {
    // One is enough to see what they cost.
    guard guessSeconds != nil else { return min(1, limit) }
    let best = bestCount(ranks[rank].probability, limit: limit)
    if best > 0 {
      (idleSteps, trials) = (0, 0)
      return best
    }
    idleSteps += 1
    let cost = (seconds(ofStep: 1) + (guessSeconds ?? 0)) / seconds(ofStep: 0) - 1
    guard limit > 0, Double(idleSteps) >= cost / Self.trialShare * Double(1 << min(trials, 4)) else { return 0 }
    (idleSteps, trials) = (0, trials + 1)
    return 1
  }

  private func bestCount(_ probability: Double, limit: Int) -> Int {
    var (best, bestRate) = (0, 0.0)
    for (place, size) in Self.stepSizes.enumerated() where size - 1 <= limit {
      var (expected, power) = (1.0, 1.0)
      for _ in 1..<size {
        power *= probability
        expected += power
      }
      let rate = expected / (seconds(ofStep: place) + Double(size - 1) * (guessSeconds ?? 0))
      // What hardly pays is not worth its noise.
      if rate > bestRate * 1.02 { (best, bestRate) = (size - 1, rate) }
    }
    return best
  }

  /// Learns from a step: how many of the guesses were right before the first that was not.
  mutating func note(rank: Int, guessed: Int, right: Int, guessSeconds: Double) {
    guard guessed > 0 else { return }
    ranks[rank].right = 0.9 * ranks[rank].right + Double(right)
    ranks[rank].tried = 0.9 * ranks[rank].tried + Double(min(right + 1, guessed))
    let seconds = guessSeconds / Double(guessed)
    self.guessSeconds = self.guessSeconds.map { Self.mean($0, seconds) } ?? seconds
  }

  /// Learns what a step of so many rows cost.
  mutating func note(rows: Int, seconds: Double) {
    guard let place = Self.stepSizes.firstIndex(of: rows) else { return }
    // The first of a size is slower, for it is recorded; and a neighbour on the core makes one step many times as slow, which
    // says nothing about the next.
    stepSeconds[place] =
      stepSeconds[place].map { Self.mean($0, min(seconds, 2 * $0)) } ?? min(seconds, self.seconds(ofStep: place))
  }

  /// A mean in which the latest counts a fifth.
  private static func mean(_ mean: Double, _ value: Double) -> Double { mean + 0.2 * (value - mean) }

  /// Seconds of a step as measured, or as its neighbours and a first guess of what a row adds have it.
  private func seconds(ofStep place: Int) -> Double {
    if let known = stepSeconds[place] { return known }
    let rows = Double(Self.stepSizes[place])
    let known = stepSeconds.indices.compactMap { index in
      stepSeconds[index].map { (rows: Double(Self.stepSizes[index]), seconds: $0) }
    }
    guard let below = known.last(where: { $0.rows < rows }) ?? known.first else { return 1 + Self.rowCost * (rows - 1) }
    return below.seconds * (1 + Self.rowCost * (rows - 1)) / (1 + Self.rowCost * (below.rows - 1))
  }

  /// What a row adds to a step, in steps of one row, where nothing was measured.
  private static let rowCost = 0.25
}
