import AngelCore
import AngelTensor

extension ServingLoop {
  /// What the model took of a step, drawing included: on the clock, and CPU time of this thread.
  struct StepTime {
    var seconds = 0.0
    var cpuSeconds = 0.0
  }

  /// Runs the parts of a step as one batch and takes in what came of it; returns what the model took.
  func run(_ parts: [Part]) throws -> StepTime {
    let (begin, cpuBegin) = (clock.now, ThreadClock.seconds())
    let slices = parts.map { part in
      let start = part.sequence.cachedCount
      let known = part.sequence.tokens[start...].prefix(part.count)
      return SequenceSlice(
        tokens: Array(known) + Array(part.sequence.guesses.prefix(part.count - known.count)), start: start,
        blocks: blocks.tables(of: part.sequence.blocks), promptEnd: part.sequence.promptCount,
        adapter: part.sequence.request.adapter?.number ?? -1)
    }
    let first = parts[0].sequence
    let rows = try runner.run(
      slices, sequenceLength: runLimit(of: first, from: first.cachedCount).length,
      uses: parts.contains { $0.sequence.answer == nil }
        ? .hiddenStates : parts.allSatisfy(\.onlyDecodes) ? .allLogits : .someLogits)
    let jobs = parts.flatMap(makeJobs)
    if !jobs.isEmpty {
      try rows.forEachLogits(after: jobs.map(\.rows)) { jobs[$0].run($1) }
    }
    let vectors = try parts.map { part in
      let sequence = part.sequence
      let isWanted = sequence.answer == nil && sequence.cachedCount + part.count == sequence.tokens.count
      return isWanted ? try rows.hiddenState(of: part.row + part.count - 1) : nil
    }
    let time = StepTime(seconds: (clock.now - begin).seconds, cpuSeconds: ThreadClock.seconds() - cpuBegin)
    learn(from: parts, seconds: time.seconds)
    for part in parts { advance(part, jobs) }
    for job in jobs { take(job) }
    for (part, vector) in zip(parts, vectors) {
      if let vector { finish(part.sequence, vector: vector.normalized) }
    }
    return time
  }

  /// The rows of a part whose logits are wanted: prompt tokens to be scored, and the last known token's, to draw from.
  private func makeJobs(_ part: Part) -> [RowJob] {
    let sequence = part.sequence
    let range = sequence.cachedCount..<(sequence.cachedCount + part.count)
    var jobs: [RowJob] = []
    if sequence.mustScorePrompt {
      let first = max(range.lowerBound, sequence.request.scoredPrompt.count - 1)
      for position in first..<max(first, min(range.upperBound, sequence.promptCount - 1)) {
        let row = part.row + position - range.lowerBound
        jobs.append(RowJob(sequence, rows: row..<(row + 1), use: .score(position + 1)))
      }
    }
    let last = part.row + sequence.tokens.count - 1 - range.lowerBound
    if sequence.answer != nil, range.upperBound >= sequence.tokens.count {
      jobs.append(RowJob(sequence, rows: last..<(part.row + part.count), use: .draw))
    }
    return jobs
  }

  private func advance(_ part: Part, _ jobs: [RowJob]) {
    let sequence = part.sequence
    let wasPrompt = sequence.cachedCount < sequence.promptCount
    sequence.cachedCount += part.count
    sequence.lastStep = step
    if !sequence.guesses.isEmpty, let job = jobs.first(where: { $0.sequence === sequence }) {
      // What wrong guesses left in the cache is written over by the tokens in their place.
      sequence.cachedCount -= job.wrongCount
      learn(guesses: job.rows.count - 1, right: job.rows.count - 1 - job.wrongCount, rank: sequence.guessRank)
      sequence.guesses = []
    }
    share(sequence)
    dropUnseen(sequence)
    guard wasPrompt, sequence.cachedCount == sequence.promptCount, sequence.isComplete, sequence.id.answer == 0 else {
      return
    }
    statistics.promptTokens += sequence.promptCount
    enterOtherAnswers(of: sequence)
  }

  /// Takes in what a row gave, unless its request has ended meanwhile.
  private func take(_ job: RowJob) {
    let (sequence, request) = (job.sequence, job.sequence.request)
    do {
      for (index, sampled) in job.outcomes.enumerated() where !request.hasEnded {
        switch job.use {
        case .score: request.scoredPrompt.append(sampled)
        case .draw:
          guard sequence.answer?.text.finishReason == nil else { return }
          // The matcher stands behind all that was drawn: only the last of it may be the answer's last.
          let isComplete = sequence.answer?.matcher?.isComplete ?? false
          try give(sampled, to: sequence, isLast: isComplete && index == job.outcomes.count - 1)
        }
      }
      if let failure = job.failure, !request.hasEnded { throw failure }
    } catch { fail(request, error) }
  }

  private func give(_ sampled: SampledToken, to sequence: ServedSequence, isLast: Bool) throws {
    let request = sequence.request
    if sequence.tokens.count == sequence.promptCount, sequence.id.answer == 0, request.promptLogprobs != nil {
      request.send(.prompt(request.scoredPrompt))
    }
    sequence.append(Int32(sampled.token))
    request.noteToken()
    statistics.generatedTokens += 1
    guard let text = try sequence.answer?.text.append(Int32(sampled.token), isLast: isLast) else { return }
    request.send(.piece(ServingPiece(answer: sequence.id.answer, text: text, tokens: [sampled])))
    if let reason = sequence.answer?.text.finishReason { finish(sequence, reason) }
  }
}

/// A row whose logits are wanted, or one and the guesses after it, and what becomes of them.
private final class RowJob {
  enum Use {
    /// The token after the sequence's last is drawn, and the ones after those guesses that are what is drawn.
    case draw
    /// The prompt's token at this position, which is known, is scored.
    case score(Int)
  }

  let sequence: ServedSequence
  let rows: Range<Int>
  let use: Use
  private let guesses: [Int32]
  private(set) var outcomes: [SampledToken] = []
  private(set) var failure: (any Error)?
  /// Whether the rows that are left come after something that is not what was guessed.
  private var isDone = false

  init(_ sequence: ServedSequence, rows: Range<Int>, use: Use) {
    self.sequence = sequence
    self.rows = rows
    self.use = use
    guesses = Array(sequence.guesses.prefix(rows.count - 1))
  }

  /// Guesses that are not what was drawn, or come after one that is not.
  var wrongCount: Int { rows.count - max(1, outcomes.count) }

  /// Takes the logits of the next row.
  func run(_ logits: UnsafeBufferPointer<Float>) {
    guard !isDone else { return }
    do {
      switch use {
      case .draw:
        let step = sequence.tokens.count - sequence.promptCount + outcomes.count
        let sampled = try sequence.draw(logits, step: step)
        outcomes.append(sampled)
        let place = outcomes.count - 1
        isDone =
          place >= guesses.count || guesses[place] != Int32(sampled.token)
          || sequence.answer?.matcher?.isComplete ?? false
      case .score(let position):
        let (token, count) = (Int(sequence.tokens[position]), sequence.request.promptLogprobs ?? 0)
        outcomes.append(try SampledToken(token, withLikeliest: count, of: logits, step: 0))
      }
    } catch { (failure, isDone) = (error, true) }
  }
}

// SAFETY: the loop makes jobs, lets each run on one thread while it waits, and reads them afterwards. Of a sequence, a
// job reads what no job writes, and only the one that draws writes its sampler and its matcher; what matchers of one
// constraint share is behind locks.
extension RowJob: @unchecked Sendable {}

extension ServedSequence {
  /// Draws the next token.
  fileprivate func draw(_ logits: UnsafeBufferPointer<Float>, step: Int) throws -> SampledToken {
    let mask = try answer?.matcher?.mask()
    guard let token = try answer?.sampler.sample(logits, step: step, allowing: mask) else {
      preconditionFailure("a sequence without an answer has no tokens to draw")
    }
    try answer?.matcher?.accept(Int32(token.token))
    return token
  }
}

extension [Float] {
  /// This vector at length 1; zeros stay zeros.
  fileprivate var normalized: [Float] {
    let length = reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    return length > 0 ? map { Float(Double($0) / length) } : self
  }
}
