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
      return SequenceSlice(
        tokens: Array(part.sequence.tokens[start..<(start + part.count)]), start: start,
        blocks: blocks.tables(of: part.sequence.blocks), adapter: part.sequence.request.adapter?.number ?? -1)
    }
    let first = parts[0].sequence
    let rows = try runner.run(
      slices, sequenceLength: runLimit(of: first, from: first.cachedCount).length,
      givesHiddenStates: parts.contains { $0.sequence.answer == nil })
    let jobs = parts.flatMap(makeJobs)
    if !jobs.isEmpty {
      try rows.forEachLogits(after: jobs.map(\.row)) { jobs[$0].run($1) }
    }
    let vectors = try parts.map { part in
      let sequence = part.sequence
      let isWanted = sequence.answer == nil && sequence.cachedCount + part.count == sequence.tokens.count
      return isWanted ? try rows.hiddenState(of: part.row + part.count - 1) : nil
    }
    let time = StepTime(seconds: (clock.now - begin).seconds, cpuSeconds: ThreadClock.seconds() - cpuBegin)
    for part in parts { advance(part) }
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
        jobs.append(RowJob(sequence, row: part.row + position - range.lowerBound, use: .score(position + 1)))
      }
    }
    if sequence.answer != nil, range.upperBound == sequence.tokens.count {
      jobs.append(RowJob(sequence, row: part.row + part.count - 1, use: .draw))
    }
    return jobs
  }

  private func advance(_ part: Part) {
    let sequence = part.sequence
    let wasPrompt = sequence.cachedCount < sequence.promptCount
    sequence.cachedCount += part.count
    sequence.lastStep = step
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
    guard !request.hasEnded, let outcome = job.outcome else { return }
    do {
      let sampled = try outcome.get()
      switch job.use {
      case .score: request.scoredPrompt.append(sampled)
      case .draw: try give(sampled, to: sequence)
      }
    } catch { fail(request, error) }
  }

  private func give(_ sampled: SampledToken, to sequence: ServedSequence) throws {
    let request = sequence.request
    if sequence.tokens.count == sequence.promptCount, sequence.id.answer == 0, request.promptLogprobs != nil {
      request.send(.prompt(request.scoredPrompt))
    }
    sequence.append(Int32(sampled.token))
    request.noteToken()
    statistics.generatedTokens += 1
    let isLast = sequence.answer?.matcher?.isComplete ?? false
    guard let text = try sequence.answer?.text.append(Int32(sampled.token), isLast: isLast) else { return }
    request.send(.piece(ServingPiece(answer: sequence.id.answer, text: text, tokens: [sampled])))
    if let reason = sequence.answer?.text.finishReason { finish(sequence, reason) }
  }
}

/// A row whose logits are wanted, and what becomes of them.
private final class RowJob {
  enum Use {
    /// The token after the sequence's last is drawn.
    case draw
    /// The prompt's token at this position, which is known, is scored.
    case score(Int)
  }

  let sequence: ServedSequence
  let row: Int
  let use: Use
  private(set) var outcome: Result<SampledToken, any Error>?

  init(_ sequence: ServedSequence, row: Int, use: Use) {
    self.sequence = sequence
    self.row = row
    self.use = use
  }

  func run(_ logits: UnsafeBufferPointer<Float>) {
    switch use {
    case .draw:
      let step = sequence.tokens.count - sequence.promptCount
      outcome = Result { try sequence.draw(logits, step: step) }
    case .score(let position):
      let (token, count) = (Int(sequence.tokens[position]), sequence.request.promptLogprobs ?? 0)
      outcome = Result { try SampledToken(token, withLikeliest: count, of: logits, step: 0) }
    }
  }
}

// SAFETY: the loop makes jobs, lets each run on one thread while it waits, and reads them afterwards. Of a sequence, a
// job reads what no job writes, and only the one that draws writes its sampler.
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
