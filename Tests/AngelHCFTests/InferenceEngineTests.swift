import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelTensor
import AngelTesting
import Synchronization
import Testing

@Suite("The engine")
struct InferenceEngineTests {
  private let prompt = (0..<50).map { Int32(($0 * 37 + 11) % 259) }

  @Test("a sequence cut back and continued gives the bits of a fresh run", arguments: [0, 1, 15, 16, 17, 32, 49])
  func truncation(_ kept: Int) throws {
    let engine = try makeEngine(TinyModel.goldens)
    let other = (0..<30).map { Int32(($0 * 53 + 7) % 259) }
    let sequence = engine.makeSequence()
    _ = try engine.logits(after: prompt, in: sequence)
    sequence.truncate(to: kept)
    #expect(sequence.tokens == Array(prompt.prefix(kept)))
    let continued = try engine.logits(after: other, in: sequence)
    let fresh = try engine.logits(after: Array(prompt.prefix(kept)) + other, in: engine.makeSequence())
    #expect(continued == fresh)
    #expect(sequence.tokens == Array(prompt.prefix(kept)) + other)
  }

  @Test("blocks go back: sequences one after the other fill the whole context, and nothing is left in the end")
  func blocksReturn() throws {
    let pool = try PagePool(budget: 64 << 20)
    do {
      let session = try makeSession(pool: pool) { $0.contextLength = 64 }
      for _ in 0..<5 {
        let sequence = session.engine.makeSequence()
        _ = try session.engine.logits(after: [Int32](repeating: 9, count: 64), in: sequence)
        sequence.truncate(to: 16)
        // Three of the four blocks are free again.
        let second = session.engine.makeSequence()
        _ = try session.engine.logits(after: [Int32](repeating: 8, count: 48), in: second)
        #expect(throws: MemoryError.self) {
          try session.engine.append([Int32](repeating: 7, count: 40), to: sequence)
        }
      }
      #expect(pool.usage[.activations].byteCount == 0 && pool.usage[.workspace].byteCount == 0)
      #expect(pool.usage[.keyValueCache].byteCount > 0)
    }
    #expect(pool.usage.byteCount == 0)
    try pool.checkInvariants()
  }

  @Test("tokens outside the vocabulary and beyond the context are refused before anything runs")
  func limits() throws {
    let session = try makeSession { $0.contextLength = 20 }
    let engine = session.engine
    let sequence = engine.makeSequence()
    for token in [-1, 264, .max, .min] as [Int32] {
      #expect(throws: EngineError.tokenOutOfRange(token: token, vocabularySize: 264)) {
        try engine.append([1, token], to: sequence)
      }
    }
    try engine.append([1, 2, 3], to: sequence)
    #expect(throws: EngineError.contextExceeded(tokens: 18, held: 3, limit: 20)) {
      try engine.append([Int32](repeating: 1, count: 18), to: sequence)
    }
    #expect(throws: EngineError.emptyPrompt) { try engine.logits(after: [], in: sequence) }
    #expect(sequence.tokens == [1, 2, 3])
    try engine.append([Int32](repeating: 1, count: 17), to: sequence)
    #expect(sequence.count == 20)
    #expect(throws: EngineError.contextTooLong(requested: 257, supported: 256)) {
      try makeSession { $0.contextLength = 257 }
    }
  }

  @Test("chunks of no length count as one token")
  func chunkLength() throws {
    let session = try makeSession { $0.chunkLength = 0 }
    let usual = try makeSession()
    #expect(try session.engine.rows(Array(prompt.prefix(5))) == usual.engine.rows(Array(prompt.prefix(5))))
  }

  @Test("without memory for weights, cache or activations one clear error comes, and the engine works again later")
  func outOfMemory() throws {
    let page = Page.byteCount
    let expected = try makeSession().answer(prompt, .greedy(6)).tokens
    // Four kinds of memory take a page each: weights, cache, activations, workspace.
    let pool = try PagePool(budget: 4 * page)
    func occupy(_ pages: Int) throws -> MemoryRegion {
      try pool.allocate(byteCount: pages * page, kind: .optimizerStates)
    }
    let everything = try occupy(4)
    #expect(throws: BackendError.self) { try makeSession(pool: pool) }
    pool.release(everything)
    #expect(pool.usage.byteCount == 0)

    for pages in [3, 2, 1] {
      let session = try makeSession(pool: pool)
      let taken = try occupy(pages)
      do {
        _ = try session.answer(prompt, .greedy(6))
        Issue.record("\(pages) pages were taken away, and nothing failed")
      } catch {
        let text = try #require(error as? any DescribedError).description
        #expect(text.contains("memory budget") && !text.contains("\n"))
        #expect(error is MemoryError || error is BackendError)
      }
      pool.release(taken)
      #expect(try session.answer(prompt, .greedy(6)).tokens == expected)
    }
    try pool.checkInvariants()
  }

  @Test("a decoding step without memory fails each time it is tried, and works once there is some")
  func outOfMemoryWhileDecoding() throws {
    let pool = try PagePool(budget: 4 * Page.byteCount)
    let session = try makeSession(pool: pool)
    let sequence = session.engine.makeSequence()
    try session.engine.append(prompt, to: sequence)
    // Weights and cache have their pages; nothing is left for the step itself.
    let taken = try pool.allocate(byteCount: 2 * Page.byteCount, kind: .optimizerStates)
    for _ in 0..<3 {
      #expect(throws: BackendError.self) { try session.engine.logits(after: [7], in: sequence) }
      #expect(sequence.tokens == prompt)
    }
    pool.release(taken)
    let expected = try session.engine.rows(prompt + [7, 8])
    #expect(try session.engine.logits(after: [7], in: sequence) == expected[50])
    #expect(try session.engine.logits(after: [8], in: sequence) == expected[51])
  }

  @Test("an interrupted prompt keeps the chunks that were finished")
  func interruptedPrompt() throws {
    let session = try makeSession { $0.chunkLength = 8 }
    var asked = 0
    session.engine.isInterrupted = {
      asked += 1
      return asked > 3
    }
    let sequence = session.engine.makeSequence()
    #expect(throws: Interrupted.self) { try session.engine.append(prompt, to: sequence) }
    #expect(sequence.tokens == Array(prompt.prefix(24)))
    session.engine.isInterrupted = { false }
    let rest = try session.engine.logits(after: Array(prompt[24...]), in: sequence)
    #expect(rest == (try session.engine.rows(prompt).last))
  }

  @Test("engines of their own in threads of their own do not disturb each other")
  func concurrency() throws {
    let expected = try makeSession(arithmetic: .fast).answer(prompt, .greedy(12)).tokens
    let answers = Mutex<[[Int32]]>([])
    let failures = Mutex<[String]>([])
    try DedicatedThread.run(4) { index in
      do {
        for _ in 0..<3 {
          let session = try makeSession(threads: 1 + index % 3, arithmetic: .fast)
          let tokens = try session.answer((0..<50).map { Int32(($0 * 37 + 11) % 259) }, .greedy(12)).tokens
          answers.withLock { $0.append(tokens) }
        }
      } catch { failures.withLock { $0.append("\(error)") } }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(answers.withLock { $0 } == [[Int32]](repeating: expected, count: 12))
  }

  @Test("two engines on one backend take turns, token by token")
  func sharedBackend() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    do {
      let sessions = try ["llama-tiny-Q8_0.gguf", "llama-tiny-Q4_0.gguf"].map {
        try LanguageModelSession(
          Checkpoint.open(TinyModel.goldens + "/" + $0), on: backend, pool: backend.pool, arithmetic: .fast)
      }
      let expected = try sessions.map { try $0.answer(prompt, .greedy(12)).tokens }
      #expect(expected[0] != expected[1])
      let sequences = sessions.map { $0.engine.makeSequence() }
      var pending = [prompt, prompt]
      for step in 0..<12 {
        for (index, session) in sessions.enumerated() {
          let logits = try session.engine.logits(after: pending[index], in: sequences[index])
          let best = try #require(logits.indices.max { logits[$0] < logits[$1] })
          #expect(Int32(best) == expected[index][step])
          pending[index] = [Int32(best)]
        }
      }
    }
    #expect(backend.pool.usage.byteCount == 0)
  }

  @Test("two engines on one backend, run from two threads, take turns")
  func sharedBackendInThreads() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    let checkpoint = try Checkpoint.open(TinyModel.goldens + "/llama-tiny-Q8_0.gguf")
    let expected = try makeSession(checkpoint.path, arithmetic: .fast).answer(prompt, .greedy(12)).tokens
    let answers = Mutex<[[Int32]]>([])
    try DedicatedThread.run(2) { _ in
      let session = try? LanguageModelSession(checkpoint, on: backend, pool: backend.pool)
      let tokens = try? session?.answer((0..<50).map { Int32(($0 * 37 + 11) % 259) }, .greedy(12)).tokens
      answers.withLock { $0.append(tokens ?? []) }
    }
    #expect(answers.withLock { $0 } == [expected, expected])
    #expect(backend.pool.usage.byteCount == 0)
  }
}
