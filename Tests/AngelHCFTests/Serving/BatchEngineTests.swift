import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelTesting
import Glibc
import Synchronization
import Testing

@Suite("The engine for many requests")
struct BatchEngineTests {
  private let prompt = (0..<50).map { Int32(($0 * 37 + 11) % 259) }

  private func makeEngine(_ change: (inout ServingOptions) -> Void = { _ in }) throws -> BatchEngine {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    var options = ServingOptions()
    change(&options)
    return try BatchEngine(
      Checkpoint.open(TinyModel.goldens), on: backend, pool: backend.pool, arithmetic: .fast, options: options)
  }

  private func request(_ prompt: [Int32], _ count: Int) -> ServingRequest {
    ServingRequest(prompt: prompt, sampling: .greedy(count))
  }

  @Test("requests from many threads are answered as the engine for one stream answers them, text included")
  func manyThreads() throws {
    let session = try makeSession(arithmetic: .fast)
    let expected = try (0..<8).map { try session.answer(Array(prompt.dropFirst($0)), .greedy(12)) }
    let engine = try makeEngine()
    let logs = (0..<32).map { _ in WaitingLog() }
    try DedicatedThread.run(4) { thread in
      for index in stride(from: thread, to: 32, by: 4) {
        let request = ServingRequest(prompt: Array(prompt.dropFirst(index % 8)), sampling: .greedy(12))
        do { _ = try engine.submit(request, onEvent: logs[index].add) } catch { Issue.record(error) }
      }
    }
    for (index, log) in logs.enumerated() {
      let events = log.wait()
      #expect(events.tokens() == expected[index % 8].tokens && events.text() == expected[index % 8].text)
      #expect(events.reasons == [0: expected[index % 8].finishReason] && events.endCount == 1)
      let usage = try #require(events.usage)
      #expect(usage.promptTokens == 50 - index % 8 && usage.completionTokens == expected[index % 8].tokens.count)
      #expect(usage.secondsQueued <= usage.secondsToFirstToken && usage.secondsToFirstToken <= usage.seconds)
    }
  }

  @Test("a stop text ends an answer before itself, and log-probabilities come with the tokens")
  func stops() throws {
    let session = try makeSession(arithmetic: .fast)
    let plain = try session.answer(prompt, .greedy(16))
    let characters = Array(plain.text)
    var asked = request(prompt, 16)
    asked.sampling.stop = [String(characters[4...5])]
    asked.sampling.logprobs = 1
    let (engine, log) = (try makeEngine(), WaitingLog())
    _ = try engine.submit(asked, onEvent: log.add)
    let events = log.wait()
    var sampling = asked.sampling
    sampling.seed = nil
    let expected = try session.answer(prompt, sampling)
    #expect(events.text() == expected.text && events.reasons == [0: .stop])
    #expect(events.sampled() == expected.logProbabilities)
  }

  @Test("what cannot be served is refused before anything runs")
  func refusals() throws {
    let engine = try makeEngine { $0.engine.contextLength = 64 }
    func refused(_ request: ServingRequest) -> (any Error)? {
      do {
        _ = try engine.submit(request) { _ in Issue.record("an event of a refused request") }
        return nil
      } catch { return error }
    }
    #expect(refused(request([], 1)) as? EngineError == .emptyPrompt)
    #expect(refused(request([264], 1)) as? EngineError == .tokenOutOfRange(token: 264, vocabularySize: 264))
    #expect(
      refused(request([Int32](repeating: 1, count: 64), 1)) as? EngineError == .noRoomForAnswer(tokens: 64, limit: 64))
    var odd = request([1], 1)
    odd.sampling.topP = 7
    #expect(refused(odd) is SamplingError)
    odd = request([1], 1)
    odd.answerCount = 0
    #expect(refused(odd) is SamplingError)
    #expect(throws: EngineError.contextExceeded(tokens: 65, held: 0, limit: 64)) {
      try engine.embed([Int32](repeating: 1, count: 65)) { _ in }
    }
  }

  @Test("the queue takes tokens up to its limit and says when to come again")
  func queue() throws {
    let engine = try makeEngine {
      $0.queuedTokenLimit = 400
      $0.sequenceLimit = 1
      $0.engine.contextLength = 256
    }
    let gate = WaitingLog.Gate()
    let (first, second) = (WaitingLog(), WaitingLog())
    // The engine's thread waits in the first event, so that the queue cannot shrink meanwhile.
    _ = try engine.submit(request(prompt, 100)) { event in
      gate.pass()
      first.add(event)
    }
    gate.waitForArrival()
    _ = try engine.submit(request(prompt, 200), onEvent: second.add)
    #expect {
      try engine.submit(request(prompt, 101)) { _ in }
    } throws: { error in
      guard case .queueFull(250, 400, let seconds)? = error as? ServingRefusal else { return false }
      return (1...3600).contains(seconds)
    }
    let third = WaitingLog()
    _ = try engine.submit(request(prompt, 100), onEvent: third.add)
    gate.open()
    for log in [first, second, third] { #expect(log.wait().usage != nil) }
  }

  @Test("cancelled requests end with one event and leave no blocks in use")
  func cancelling() throws {
    let engine = try makeEngine { $0.sequenceLimit = 2 }
    let gate = WaitingLog.Gate()
    let logs = (0..<4).map { _ in WaitingLog() }
    var tickets: [ServingTicket] = []
    for (index, log) in logs.enumerated() {
      tickets.append(
        try engine.submit(request(Array(prompt.dropFirst(index)), 150)) { event in
          if index == 0 { gate.pass() }
          log.add(event)
        })
    }
    gate.waitForArrival()
    for ticket in tickets.dropFirst() { ticket.cancel() }
    tickets[1].cancel()
    gate.open()
    for log in logs.dropFirst() { #expect(log.wait().failure is Interrupted && log.wait().endCount == 1) }
    #expect(logs[0].wait().usage?.completionTokens == 150)
    tickets[0].cancel()
    let end = WaitingLog.Gate()
    engine.drain { end.pass() }
    end.waitForArrival()
    end.open()
    #expect(engine.statistics.blocksInUse == 0 && engine.statistics.running == 0 && engine.statistics.waiting == 0)
    #expect(engine.statistics.cancelled == 3)
    #expect(throws: ServingRefusal.draining) { try engine.submit(request(prompt, 1)) { _ in } }
  }

  @Test("an engine that goes ends what is in hand, and its memory goes back")
  func ending() throws {
    let pool = try PagePool(budget: 64 << 20)
    func makeEngine() throws -> BatchEngine {
      try BatchEngine(
        Checkpoint.open(TinyModel.goldens), on: CPUBackend(pool: pool, threadCount: 1), pool: pool, arithmetic: .fast,
        options: ServingOptions())
    }
    // Let go of by its last owner inside a callback, on its own thread: the next thing it reads is that it is to stop.
    let owner = Mutex<BatchEngine?>(try makeEngine())
    let log = WaitingLog()
    _ = try owner.withLock { engine in
      try engine?.submit(request(prompt, 200)) { event in
        let last = owner.withLock { engine in
          defer { engine = nil }
          return engine
        }
        withExtendedLifetime(last) { log.add(event) }
      }
    }
    #expect(log.wait().failure is Interrupted)
    for _ in 0..<30_000 where pool.usage.byteCount > 0 { usleep(1_000) }
    #expect(pool.usage.byteCount == 0)
    // Let go of by another thread, it has ended when that goes on.
    do { _ = try makeEngine().contextLength }
    #expect(pool.usage.byteCount == 0)
  }

  @Test("an embedding is the last hidden state at length 1, whatever else runs")
  func embedding() throws {
    let engine = try makeEngine()
    let vectors = Mutex<[Int: [Float]]>([:])
    let done = WaitingLog()
    for index in 0..<9 {
      // The same text three times, beside answers.
      _ = try engine.embed(Array(prompt.dropFirst(index % 3))) { result in
        vectors.withLock { $0[index] = (try? result.get()) ?? [] }
      }
      _ = try engine.submit(request(prompt, 3)) { _ in }
    }
    _ = try engine.submit(request(prompt, 1)) { _ in }
    engine.drain { done.add(.done(ServingUsage())) }
    _ = done.wait()
    let all = vectors.withLock { $0 }
    for index in 0..<9 {
      #expect(all[index] == all[index % 3] && all[index]?.isEmpty == false)
      let length = (all[index] ?? []).reduce(0) { $0 + $1 * $1 }
      #expect(abs(length - 1) < 1e-5)
    }
  }

  @Test("the plan is checked before weights are read, and names the cache that would fit")
  func plan() throws {
    let checkpoint = try Checkpoint.open(TinyModel.goldens)
    func engine(_ budget: Int, cacheTokens: Int?) throws -> BatchEngine {
      let backend = try CPUBackend(pool: PagePool(budget: budget), threadCount: 1)
      var options = ServingOptions()
      options.cacheTokens = cacheTokens
      return try BatchEngine(checkpoint, on: backend, pool: backend.pool, arithmetic: .fast, options: options)
    }
    #expect {
      try engine(32 << 20, cacheTokens: 1 << 20)
    } throws: { error in
      guard case .cacheExceeded(_, _, _, 1 << 20, _, let fitting)? = error as? EngineError else { return false }
      return (try? engine(32 << 20, cacheTokens: fitting)) != nil
    }
    #expect(throws: EngineError.self) { try engine(8 << 20, cacheTokens: nil) }
  }
}

/// The events of a request that another thread waits for.
final class WaitingLog: Sendable {
  private let log = EventLog()
  private let ended = Mailbox<Bool>()

  func add(_ event: ServingEvent) {
    log.add(event)
    switch event {
    case .done, .failed: ended.send(true)
    case .prompt, .piece, .finished: break
    }
  }

  /// The events, once the last has come.
  func wait() -> EventLog {
    if log.endCount == 0 { _ = ended.receive(waits: true) }
    return log
  }

  /// Holds a thread until it is opened.
  final class Gate: Sendable {
    private let arrivals = Mailbox<Bool>()
    private let openings = Mailbox<Bool>()
    private let hasPassed = Mutex(false)

    /// Waits for the opening, the first time.
    func pass() {
      guard
        hasPassed.withLock({ passed in
          defer { passed = true }
          return !passed
        })
      else { return }
      arrivals.send(true)
      _ = openings.receive(waits: true)
    }

    func waitForArrival() { _ = arrivals.receive(waits: true) }
    func open() { openings.send(true) }
  }
}
