import AngelCore
import AngelMemory
import AngelNN
import AngelTesting
import Glibc
import Synchronization
import Testing

@testable import AngelHCF

/// Whether randomised tests take their time: with ANGEL_TEST_ALL=1.
enum RandomisedSteps {
  static var isThorough: Bool { getenv("ANGEL_TEST_ALL").map { String(cString: $0) } == "1" }
}

@Suite("The serving loop, over a fake model")
struct ServingLoopTests {
  private func request(_ prompt: [Int32], _ count: Int, _ change: (inout ServingRequest) -> Void = { _ in })
    -> ServingRequest
  {
    var request = ServingRequest(prompt: prompt, sampling: .greedy)
    request.sampling.maxTokens = count
    change(&request)
    return request
  }

  @Test(
    "10,000 steps of random requests: answers are those given alone, nothing leaks, everybody ends once",
    arguments: [
      (seed: 1, scaling: RotaryScaling.none, windows: [0], shares: true, guesses: Int?.none),
      (2, .none, [0], false, nil), (3, .dynamic(factor: 2, originalLength: 40), [0], true, nil),
      (4, .none, [21], true, nil), (5, .none, [0, 21, 21], true, nil), (6, .none, [0, 16], true, nil),
      (7, .none, [0, 1, 1], false, nil), (8, .dynamic(factor: 2, originalLength: 40), [0, 33], true, nil),
      (9, .none, [0], true, 3), (10, .none, [0, 16], true, 7), (11, .none, [21], false, 1),
      (12, .dynamic(factor: 2, originalLength: 40), [0], true, 5),
    ])
  func stream(seed: UInt64, scaling: RotaryScaling, windows: [Int], shares: Bool, guesses: Int?) throws {
    // Guesses are made where nobody waits.
    let most = guesses == nil ? 20 : 4
    let limits = SchedulerLimits(rows: 48, sequences: 8)
    var engine = try FakeEngine(
      blocks: 24 * windows.count, limits: limits, contextLength: 96, scaling: scaling, windows: windows,
      sharesPrefixes: shares, guessCount: guesses)
    var random = SeededRandom(seed: seed)
    let openings = (0..<3).map { _ in (0..<70).map { _ in Int32.random(in: 0..<32, using: &random) } }
    var open: [(id: UInt64, request: ServingRequest, log: EventLog)] = []
    var (submitted, ended, cancelled) = (0, 0, 0)

    func settle() throws {
      for (_, request, log) in open where log.endCount > 0 {
        ended += 1
        #expect(log.endCount == 1)
        if let failure = log.failure {
          #expect(failure is Interrupted)
          cancelled += 1
          continue
        }
        let expected = try FakeEngine.expected(request, contextLength: 96, scaling: scaling, windows: windows)
        for (answer, tokens) in expected.enumerated() { #expect(log.tokens(of: answer) == tokens) }
      }
      open.removeAll { $0.log.endCount > 0 }
    }

    let steps = seed == 1 || RandomisedSteps.isThorough ? 10_000 : guesses == nil ? 2_000 : 1_000
    for step in 0..<steps {
      if open.count < most, Int.random(in: 0..<3, using: &random) == 0 {
        let opening = openings[Int.random(in: 0..<3, using: &random)]
        let prompt =
          opening.prefix(.random(in: 0...50, using: &random))
          + (0...Int.random(in: 0..<20, using: &random)).map { _ in Int32.random(in: 0..<32, using: &random) }
        let request = request(Array(prompt), .random(in: 1...25, using: &random)) {
          $0.priority = .random(in: 0...2, using: &random)
          $0.answerCount = .random(in: 0..<8, using: &random) == 0 ? 3 : 1
          guard Bool.random(using: &random) else { return }
          $0.sampling.temperature = 0.8
          $0.sampling.seed = Int.random(in: 0..<1000, using: &random)
          $0.sampling.repetitionPenalty = 1.2
          $0.sampling.frequencyPenalty = 0.3
        }
        let log = EventLog()
        open.append((try engine.submit(request) { log.add($0) }, request, log))
        submitted += 1
      }
      if Int.random(in: 0..<60, using: &random) == 0, let victim = open.randomElement(using: &random) {
        engine.loop.cancel(victim.id)
      }
      if !engine.loop.isIdle { engine.loop.runStep() }
      #expect(engine.loop.running.count <= limits.sequences)
      if step % 16 == 0 { try engine.loop.blocks.checkInvariants(users: engine.users) }
      try settle()
    }
    #expect(engine.finish())
    try settle()
    #expect(open.isEmpty && ended == submitted && submitted > steps / 30 && cancelled > steps / 200)
    #expect(engine.runner.rowsOfSteps.allSatisfy { $0 <= limits.rows })
    #expect(engine.users.allSatisfy { $0.heldCount == 0 } && engine.loop.blocks.usedCount == 0)
    try engine.loop.blocks.checkInvariants(users: [])
    let statistics = engine.loop.currentStatistics
    if guesses == nil {
      #expect(statistics.preemptions > steps / 200, "the stream is meant to run short of blocks")
    } else {
      #expect(statistics.guessedTokens > 10 * statistics.acceptedTokens)
      // Beyond the length at which frequencies change nothing is guessed: too little here for a lucky one.
      #expect(statistics.acceptedTokens > 0 || guesses == 5)
    }
    #expect((statistics.prefixHitTokens > 0) == shares)
    #expect(statistics.cancelled == cancelled)
  }

  @Test("other answers begin where the prompt ends, though its last token runs alone and what follows could be guessed")
  func lastPromptToken() throws {
    var engine = try FakeEngine(
      blocks: 40, limits: SchedulerLimits(rows: 64, sequences: 4), contextLength: 128, guessCount: 3)
    // 65 tokens at 64 rows, and an answer that goes on like them.
    let asked = request([Int32](repeating: 5, count: 65), 10) {
      $0.answerCount = 3
      $0.sampling.logitBias = [5: 100]
    }
    let log = EventLog()
    _ = try engine.submit(asked) { log.add($0) }
    #expect(engine.finish(limit: 200))
    #expect(log.reasons.count == 3 && log.usage?.completionTokens == 30)
    for answer in 0..<3 { #expect(log.tokens(of: answer) == [Int32](repeating: 5, count: 10)) }
    let statistics = engine.loop.currentStatistics
    #expect(statistics.promptTokens == 65 && statistics.acceptedTokens > 0)
  }

  @Test("windowed layers hold what their windows see and no more, in prompts and answers")
  func localBlocks() throws {
    let limits = SchedulerLimits(rows: 32, sequences: 2)
    var engine = try FakeEngine(blocks: 80, limits: limits, contextLength: 400, windows: [0, 40, 40])
    let log = EventLog()
    let asked = request((0..<300).map { Int32($0 * 5 % 32) }, 50)
    _ = try engine.submit(asked) { log.add($0) }
    var most = (wide: 0, local: 0)
    while !engine.loop.isIdle {
      engine.loop.runStep()
      for sequence in engine.loop.running {
        let blocks = sequence.blocks
        #expect(blocks.heldCount <= sequence.grantedCount && sequence.blocks.count == (sequence.cachedCount + 15) / 16)
        // After a step, what the next token sees.
        #expect(blocks.local.count <= 2 * ((40 + 15) / 16 + 1))
        most = (max(most.wide, blocks.wide.count), max(most.local, blocks.local.count))
      }
      try engine.loop.blocks.checkInvariants(users: engine.users)
    }
    #expect(most.wide == 22 && most.local == 8)
    #expect(log.tokens() == (try FakeEngine.expected(asked, contextLength: 400, windows: [0, 40, 40])[0]))
    // 22 stretches of three blocks would not have fitted beside each other twice; what is cached can be gone on from.
    let again = EventLog()
    _ = try engine.submit(asked) { again.add($0) }
    #expect(engine.finish())
    #expect(again.tokens() == log.tokens() && (again.usage?.cachedTokens ?? 0) >= 256)
  }

  @Test("where blocks of three tables run short, one sequence gives its own back and not all of them")
  func oneGivesWay() throws {
    let limits = SchedulerLimits(rows: 128, sequences: 4)
    var engine = try FakeEngine(blocks: 35, limits: limits, contextLength: 128, windows: [0, 40, 40])
    let lengths = [28, 28, 30, 31]
    let asked = lengths.enumerated().map { index, length in
      request((0..<length).map { Int32(($0 * 5 + index * 7) % 32) }, 20)
    }
    let logs = asked.map { _ in EventLog() }
    for (request, log) in zip(asked, logs) { _ = try engine.submit(request) { log.add($0) } }
    // The last two take their 33rd token's blocks from the 11 that are left, then both others want three of five.
    for _ in 0..<6 { engine.loop.runStep() }
    #expect(engine.loop.currentStatistics.preemptions == 1 && engine.loop.running.count == 3)
    #expect(engine.finish())
    for (request, log) in zip(asked, logs) {
      #expect(log.tokens() == (try FakeEngine.expected(request, contextLength: 128, windows: [0, 40, 40])[0]))
    }
  }

  @Test("where the pool's pages run out before its limit, the last in turn gives way to one before it")
  func pagesRunOut() throws {
    // Blocks of half a page: four of them are there, though the limit is eight.
    var engine = try FakeEngine(
      blocks: 8, limits: SchedulerLimits(rows: 64, sequences: 2), contextLength: 128, pages: 2, sharesPrefixes: false)
    let asked = [request((0..<30).map { Int32($0 % 32) }, 20), request((0..<28).map { Int32($0 * 3 % 32) }, 20)]
    let logs = asked.map { _ in EventLog() }
    for (request, log) in zip(asked, logs) { _ = try engine.submit(request) { log.add($0) } }
    for _ in 0..<6 { engine.loop.runStep() }
    #expect(engine.loop.running.map(\.id.request) == [1])
    #expect(engine.finish())
    for (request, log) in zip(asked, logs) {
      let expected = try FakeEngine.expected(request, contextLength: 128)[0]
      #expect(log.failure == nil && log.tokens() == expected)
    }
    #expect(logs[0].usage?.preemptions == 0 && (logs[1].usage?.preemptions ?? 0) > 0)
  }

  @Test("a prompt that is wholly cached runs its last token alone")
  func wholePromptCached() throws {
    var engine = try FakeEngine(blocks: 16, limits: SchedulerLimits(rows: 64, sequences: 4), contextLength: 128)
    let prompt = (0..<48).map { Int32($0 % 32) }
    for round in 0..<2 {
      let log = EventLog()
      _ = try engine.submit(request(prompt, 3)) { log.add($0) }
      #expect(engine.finish())
      #expect(log.tokens() == (try FakeEngine.expected(request(prompt, 3), contextLength: 128)[0]))
      #expect(log.usage?.cachedTokens == [0, 47][round])
    }
    #expect(engine.runner.rowsOfSteps == [48, 1, 1, 1, 1, 1])
  }

  @Test("a newcomer whose blocks were counted for another waits, and is not failed")
  func blocksCountedTwice() throws {
    var engine = try FakeEngine(blocks: 8, limits: SchedulerLimits(rows: 256, sequences: 4), contextLength: 128)
    let first = (0..<119).map { Int32($0 * 7 % 32) }
    // The second displaces the first, whose blocks the third finds in use and so does not count.
    let asked = [
      request(first, 3) { $0.priority = 1 }, request((0..<96).map { Int32($0 * 5 % 32) }, 3),
      request(Array(first.prefix(48)) + [1, 2], 3),
    ]
    let logs = asked.map { _ in EventLog() }
    _ = try engine.submit(asked[0]) { logs[0].add($0) }
    engine.loop.runStep()
    for index in 1...2 { _ = try engine.submit(asked[index]) { logs[index].add($0) } }
    #expect(engine.finish())
    for (request, log) in zip(asked, logs) {
      let expected = try FakeEngine.expected(request, contextLength: 128)[0]
      #expect(log.failure == nil && log.tokens() == expected)
    }
    #expect(engine.loop.currentStatistics.preemptions > 0 && engine.loop.blocks.usedCount == 0)
  }

  @Test("several answers run their prompt once, each as if it were alone")
  func severalAnswers() throws {
    var engine = try FakeEngine(blocks: 16, limits: SchedulerLimits(rows: 64, sequences: 4), contextLength: 128)
    let asked = request((0..<37).map { Int32($0 % 32) }, 5) {
      $0.answerCount = 3
      $0.sampling.temperature = 1
      $0.sampling.seed = 5
    }
    let log = EventLog()
    _ = try engine.submit(asked) { log.add($0) }
    #expect(engine.finish())
    let expected = try FakeEngine.expected(asked, contextLength: 128)
    #expect(Set(expected).count == 3)
    for answer in 0..<3 { #expect(log.tokens(of: answer) == expected[answer]) }
    // The prompt, then what of it is not in full blocks for the two others, beside the first one's next token.
    #expect(engine.runner.rowsOfSteps.prefix(2) == [37, 11])
    #expect(log.usage?.completionTokens == 15 && log.reasons.count == 3)
  }

  @Test("the prompt's log-probabilities come first, whatever is cached and however it is cut")
  func promptLogprobs() throws {
    let prompt = (0..<40).map { Int32($0 * 7 % 32) }
    var all: [[SampledToken]] = []
    for rows in [8, 64] {
      var engine = try FakeEngine(blocks: 16, limits: SchedulerLimits(rows: rows, sequences: 4), contextLength: 128)
      for _ in 0..<2 {
        let log = EventLog()
        _ = try engine.submit(request(prompt, 2) { $0.promptLogprobs = 2 }) { log.add($0) }
        #expect(engine.finish())
        guard case .prompt(let tokens) = log.all.first else {
          Issue.record("the first event is not the prompt")
          return
        }
        all.append(tokens)
        #expect(tokens.map { Int32($0.token) } == prompt && tokens[0].logProbability == nil)
      }
    }
    for tokens in all.dropFirst() { #expect(tokens == all[0]) }
    let logits = FakeRunner.logits(after: prompt.prefix(5).map { FakeRunner.cell($0, rotaryClass: 0) })
    let expected = try logits.withUnsafeBufferPointer {
      try SampledToken(Int(prompt[5]), withLikeliest: 2, of: $0, step: 0)
    }
    #expect(all[0][5] == expected)
  }

  @Test("a hidden state is that of the last token, at length 1")
  func embedding() throws {
    var engine = try FakeEngine(blocks: 16, limits: SchedulerLimits(rows: 16, sequences: 4), contextLength: 128)
    let tokens = (0..<40).map { Int32($0 % 32) }
    let results = Mutex<[[Float]]>([])
    for _ in 0..<2 {
      engine.submit(embedding: tokens) { result in results.withLock { $0 += [(try? result.get()) ?? []] } }
    }
    #expect(engine.finish())
    let hidden = FakeRunner.logits(after: tokens.map { FakeRunner.cell($0, rotaryClass: 0) })
    let length = hidden.reduce(0) { $0 + $1 * $1 }.squareRoot()
    for vector in results.withLock({ $0 }) {
      #expect(zip(vector, hidden).allSatisfy { abs($0 - $1 / length) < 1e-5 })
    }
    #expect(results.withLock { $0.count } == 2 && engine.loop.blocks.usedCount == 0)
  }

  @Test("logits that are no numbers end their own request and no other")
  func damagedLogits() throws {
    var engine = try FakeEngine(blocks: 16, limits: SchedulerLimits(rows: 64, sequences: 4), contextLength: 128)
    engine.runner.damagedToken = 31
    let (bad, good) = (EventLog(), EventLog())
    _ = try engine.submit(request([1, 2, 31], 4)) { bad.add($0) }
    _ = try engine.submit(request([1, 2, 4], 4) { $0.sampling.logitBias = [31: -100] }) { good.add($0) }
    #expect(engine.finish())
    #expect(good.usage?.completionTokens == 4)
    #expect(bad.failure as? SamplingError == .notANumber(token: 0, value: "nan", step: 0) && bad.endCount == 1)
  }
}
