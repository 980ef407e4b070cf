import AngelTensor

/// An answer in the making, or a prompt whose hidden state is wanted.
struct SequenceID: Hashable, Comparable, Sendable {
  /// Requests are numbered as they arrive.
  let request: UInt64
  var answer = 0

  static func < (a: Self, b: Self) -> Bool { (a.request, a.answer) < (b.request, b.answer) }
}

/// A sequence as the scheduler sees it: how much there is, not what.
struct SchedulerEntry: Sendable, Equatable {
  let id: SequenceID
  /// Smaller goes first.
  var priority = 0
  /// Steps spent waiting. A long wait raises a sequence above later ones of better priority, so that none waits for
  /// ever.
  var waitedSteps = 0
  /// Tokens to have in the cache before the next can be drawn: the prompt and all drawn so far, and guesses at what follows.
  var tokens: Int
  /// How many of them are in the cache; for a waiting sequence, what of it was found there.
  var cached = 0
  /// Cache blocks held or set aside; for a waiting sequence, those of what was found.
  var blocks = 0
  /// Blocks that nobody else uses: running, what giving all back would make available, which is asked only where
  /// `Scheduler.mayPreempt`; waiting, what of the found blocks counts as available until it is taken.
  var unsharedBlocks = 0
  /// The most tokens of it that may run in one step, at least 1.
  var runLimit = Int.max
  /// Sequences of different classes must not share a step: their rotary frequencies differ.
  var rotaryClass = 0
  /// The step in which it last ran.
  var lastStep = 0

  /// Tokens that have not run.
  var pending: Int { tokens - cached }

  /// Steps of waiting that count as much as one of priority.
  static let stepsPerLevel = 512

  /// Sorts sequences by turn: by priority and waiting, then by arrival.
  var turn: Turn { Turn(level: priority - waitedSteps / Self.stepsPerLevel, id: id) }

  struct Turn: Comparable {
    let level: Int
    let id: SequenceID
    static func < (a: Self, b: Self) -> Bool { (a.level, a.id) < (b.level, b.id) }
  }
}

/// Everything a plan is made from.
struct SchedulerState: Sendable, Equatable {
  /// Sequences with a place in the cache.
  var running: [SchedulerEntry] = []
  /// Sequences without one; those whose turn comes first are enough, as many as may run.
  var waiting: [SchedulerEntry] = []
  /// Blocks that are free or kept for prefixes only, and not set aside.
  var availableBlocks = 0
}

/// What a step may take.
struct SchedulerLimits: Sendable, Equatable {
  /// Rows of a step, at least as many as `sequences`.
  var rows = 512
  /// Sequences that run at once.
  var sequences = 32
  var windows = CacheWindows()

  /// The most blocks that a sequence of so many tokens holds at once while the last `pending` of them run.
  func blocks(_ tokens: Int, pending: Int = 1) -> Int {
    func held(_ window: Int) -> Int {
      let (spans, size) = (CacheGeometry.spanCount(tokens), CacheGeometry.blockTokens)
      guard window > 0 else { return spans }
      // What a step's first row sees, the step's rows, and a part of a block at either end.
      return min(spans, (window + min(pending, rows) + 2 * size - 2) / size)
    }
    return held(windows.wide) + windows.localCount * held(windows.local)
  }
}

/// What the next step does, in this order.
struct SchedulerPlan: Sendable, Equatable {
  /// A sequence and how many of its pending tokens run.
  struct Run: Sendable, Equatable {
    let id: SequenceID
    let count: Int
  }

  /// Sequences that give all their blocks back and wait again.
  var preempted: [SequenceID] = []
  /// Waiting sequences for which blocks for all their tokens are set aside.
  var admitted: [SequenceID] = []
  var runs: [Run] = []
}
