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
  /// Seconds of a guess.
  private var guessSeconds = 0.0
  private var ranks: [Rank]
  /// Tokens since guesses were last tried, and after how many they are tried again though they do not seem to pay.
  private var idleCount = 0
  private var patience = shortestPatience
  private static let shortestPatience = 16
  private static let longestPatience = 256

  /// Guesses of one rank.
  private struct Rank {
    /// Those that were right, and all whose turn came, the latest counting most.
    var right: Double
    var tried: Double
    var probability: Double { right / tried }
  }

  /// - Parameter probabilities: for each rank, how often its guesses are thought to be right before any was made.
  init(probabilities: [Double]) {
    ranks = probabilities.map { Rank(right: 2 * $0, tried: 2) }
  }

  /// How many guesses of a rank to make, at most `limit`.
  mutating func count(rank: Int, limit: Int) -> Int {
    let probability = ranks[rank].probability
    var (best, bestRate) = (0, 0.0)
    for (place, size) in Self.stepSizes.enumerated() where size - 1 <= limit {
      var (expected, power) = (1.0, 1.0)
      for _ in 1..<size {
        power *= probability
        expected += power
      }
      let rate = expected / (seconds(ofStep: place) + Double(size - 1) * guessSeconds)
      // What hardly pays is not worth its noise.
      if rate > bestRate * 1.02 { (best, bestRate) = (size - 1, rate) }
    }
    if best > 0 { return best }
    idleCount += 1
    guard idleCount >= patience, limit > 0 else { return 0 }
    return 1
  }

  /// Learns from a step: how many of the guesses were right before the first that was not.
  mutating func note(rank: Int, guessed: Int, right: Int, guessSeconds: Double) {
    guard guessed > 0 else { return }
    let wasTrial = idleCount > 0
    idleCount = 0
    ranks[rank].right = 0.9 * ranks[rank].right + Double(right)
    ranks[rank].tried = 0.9 * ranks[rank].tried + Double(min(right + 1, guessed))
    Self.mix(guessSeconds / Double(guessed), into: &self.guessSeconds)
    patience = wasTrial && right == 0 ? min(2 * patience, Self.longestPatience) : Self.shortestPatience
  }

  /// Learns what a step of so many rows cost.
  mutating func note(rows: Int, seconds: Double) {
    guard let place = Self.stepSizes.firstIndex(of: rows) else { return }
    guard var mean = stepSeconds[place] else {
      // The first is slower: it is recorded.
      stepSeconds[place] = .some(min(seconds, self.seconds(ofStep: place)))
      return
    }
    // A neighbour on the core makes one step many times as slow; that says nothing about the next.
    Self.mix(min(seconds, 2 * mean), into: &mean)
    stepSeconds[place] = mean
  }

  private static func mix(_ value: Double, into mean: inout Double) {
    mean = mean == 0 ? value : mean + 0.2 * (value - mean)
  }

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
