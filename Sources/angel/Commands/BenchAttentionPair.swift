import AngelCore
import AngelTensor

/// One choice of attention: the same rows without it and with it.
struct BenchAttentionPair {
  let strategy: String
  let shape: String
  /// What the choice is made against.
  let otherwise: String
  let without: BenchAttentionLaunch
  let with: BenchAttentionLaunch

  /// Seconds of one layer, and how many times faster the choice is.
  struct Result {
    let without: Double
    let with: Double
    let gain: Double

    /// Within three hundredths neither is better.
    var verdict: String { gain > 1.03 ? "pays" : gain < 0.97 ? "costs" : "even" }
  }

  /// Both in turns, `samples` times, each for some milliseconds: medians of the times and of their quotients. Nil where
  /// either cannot be run.
  func measure(_ shape: BenchShape, _ maker: BenchKernelMaker, samples: Int) -> Result? {
    guard let without = without.makeRun(shape, maker), let with = with.makeRun(shape, maker) else { return nil }
    let clock = ContinuousClock()
    func time(_ run: () -> Void, _ count: Int) -> Double {
      let begin = clock.now
      for _ in 0..<count { run() }
      return (clock.now - begin).seconds / Double(count)
    }
    func count(_ run: () -> Void) -> Int {
      _ = time(run, 1)
      return max(1, min(10_000, Int(0.005 / max(time(run, 1), 1e-9))))
    }
    let counts = (count(without), count(with))
    let times = (0..<samples).map { _ in (without: time(without, counts.0), with: time(with, counts.1)) }
    return Result(
      without: times.map(\.without).median, with: times.map(\.with).median,
      gain: times.map { $0.without / $0.with }.median)
  }
}

extension BenchAttentionPair {
  /// Every choice on the rows and lengths where it might matter; `dtype` is that of the cache where it is not the choice.
  static func all(_ dtype: DType, quick: Bool) -> [Self] {
    let lengths = quick ? [512, 2048] : [512, 2048, 8192]
    return tiles(lengths, dtype) + splits(lengths, dtype, rows: quick ? [1, 16] : [1, 4, 8, 16, 32])
      + windows(lengths, dtype) + sparse(quick ? [4096] : [2048, 4096, 8192, 16_384, 32_768], dtype)
      + common(dtype, quick: quick) + paged(lengths, dtype) + types(lengths)
  }

  /// Rows of one sequence read each group of keys and values together; scores are never stored either way.
  private static func tiles(_ lengths: [Int], _ dtype: DType) -> [Self] {
    lengths.map { length in
      let together = BenchAttentionLaunch(.last(512, of: length), of: length, dtype)
      return Self(
        strategy: "flash tiles", shape: "prefill 512 at \(length)", otherwise: "row by row",
        without: together.with { $0.isRowByRow = true }, with: together)
    }
  }

  /// Parts share the positions of each row and merge what they found.
  private static func splits(_ lengths: [Int], _ dtype: DType, rows: [Int]) -> [Self] {
    lengths.flatMap { length in
      rows.map { count in
        let launch = BenchAttentionLaunch(.ends(count, of: length), of: length, dtype)
        return Self(
          strategy: "split positions", shape: "decode \(count) at \(length)", otherwise: "whole rows",
          without: launch.with { $0.hasSplits = false }, with: launch.with { $0.hasSplits = true })
      }
    }
  }

  private static func windows(_ lengths: [Int], _ dtype: DType) -> [Self] {
    lengths.filter { $0 > 512 }.flatMap { length in
      [("decode 1", [BenchAttentionRow].ends(1, of: length)), ("prefill 512", .last(512, of: length))].map {
        name, rows in
        let launch = BenchAttentionLaunch(rows, of: length, dtype)
        return Self(
          strategy: "window of 512", shape: "\(name) at \(length)", otherwise: "all positions", without: launch,
          with: launch.with { $0.window = 512 })
      }
    }
  }

  /// Rows of a prompt choose the blocks they attend to; how many those are is the text's and the model's affair.
  private static func sparse(_ lengths: [Int], _ dtype: DType) -> [Self] {
    lengths.flatMap { length in
      [0.5, 0.25, 0.125].map { share in
        let launch = BenchAttentionLaunch(.last(512, of: length), of: length, dtype)
        return Self(
          strategy: "sparse, 1 of \(Int(1 / share)) blocks", shape: "prefill 512 at \(length)",
          otherwise: "all positions",
          without: launch, with: launch.with { $0.keptShare = share })
      }
    }
  }

  /// Sequences of two families, each with a beginning in common: as neighbours, who read it together, and alternating.
  private static func common(_ dtype: DType, quick: Bool) -> [Self] {
    (quick ? [(32, 1024)] : [(4, 1024), (8, 1024), (32, 256), (32, 1024), (32, 4096)]).map { count, tokens in
      var launch = BenchAttentionLaunch(.ends(count, of: tokens + 64), of: tokens + 64, dtype)
      launch.placement = BenchCacheTables.Placement(families: 2, commonTokens: tokens)
      let sorted = launch.rows.filter { $0.sequence % 2 == 0 } + launch.rows.filter { $0.sequence % 2 == 1 }
      return Self(
        strategy: "shared prefix", shape: "decode \(count) at \(tokens) + 64", otherwise: "each row by itself",
        without: launch, with: launch.with { $0.rows = sorted })
    }
  }

  /// What it costs that blocks may lie anywhere.
  private static func paged(_ lengths: [Int], _ dtype: DType) -> [Self] {
    lengths.map { length in
      let launch = BenchAttentionLaunch(.ends(1, of: length), of: length, dtype)
      return Self(
        strategy: "blocks anywhere", shape: "decode 1 at \(length)", otherwise: "blocks in a row", without: launch,
        with: launch.with { $0.placement.isInOrder = false })
    }
  }

  /// Caches of few bits against float16.
  private static func types(_ lengths: [Int]) -> [Self] {
    [DType.q8_0, .q4_0].flatMap { dtype in
      ([128] + lengths).flatMap { length in
        [
          ("decode 1", 1, [BenchAttentionRow].ends(1, of: length)),
          ("prefill 512", 512, .last(min(512, length), of: length)),
        ]
        .filter { $0.1 <= length }.map { name, _, rows in
          let launch = BenchAttentionLaunch(rows, of: length, .float16)
          return Self(
            strategy: "cache of \(dtype.name)", shape: "\(name) at \(length)", otherwise: "of f16", without: launch,
            with: launch.with { $0.dtype = dtype })
        }
      }
    }
  }
}
