import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelTesting
import Synchronization
import Testing

@testable import AngelHCF

@Suite("Adapters side by side in one batch")
struct AdapterServingTests {
  private func loop(
    _ adapters: Int, shares: Bool = true, sequences: Int = 12
  ) throws -> (loop: ServingLoop, adapters: [PlacedAdapter?]) {
    let backend = try CPUBackend(pool: PagePool(budget: 128 << 20), threadCount: 2)
    let loaded = try LoadedLanguageModel(Checkpoint.open(TinyModel.goldens), on: backend, arithmetic: .fast)
    var options = ServingOptions()
    options.engine.contextLength = 96
    options.engine.chunkLength = 48
    options.sequenceLimit = sequences
    options.sharesPrefixes = shares
    options.adapterLimit = max(1, adapters)
    let loop = try ServingLoop(
      loaded.model, tokenizer: nil, endTokens: [], on: backend, pool: backend.pool, options: options)
    let places = try #require(loop.adapters)
    var all: [PlacedAdapter?] = [nil]
    for number in 0..<adapters {
      let (adapter, outdates) = try places.addRandom(rank: 4 + 16 * number, seed: UInt64(number), scale: 500)
      #expect(outdates == (number == 0), "only the first gives layers more to do")
      all.append(adapter)
    }
    return (loop, all)
  }

  private func request(_ index: Int) -> ServingRequest {
    // Half of the prompts begin alike.
    let opening = index % 2 == 0 ? (0..<33).map { Int32($0 * 5 % 250) } : []
    var request = ServingRequest(
      prompt: opening + (0...index).map { Int32(($0 * 31 + index) % 250) }, sampling: .greedy(8))
    request.sampling.logprobs = 1
    if index % 3 == 1 {
      request.sampling.temperature = 0.9
      request.sampling.seed = index
    }
    request.sampling.maxTokens = 8
    return request
  }

  private func submit(
    _ request: ServingRequest, _ adapter: PlacedAdapter?, id: Int, to loop: ServingLoop
  ) throws -> EventLog {
    let log = EventLog()
    try loop.submit(request, id: UInt64(id), adapter: adapter, onEvent: log.add)
    return log
  }

  @Test(
    "three adapters and the model alone: an answer among others is the one given alone, to the bit",
    arguments: [true, false])
  func invariance(shares: Bool) throws {
    var alone: [[SampledToken]] = []
    for index in 0..<12 {
      let (loop, adapters) = try loop(3, shares: shares)
      let log = try submit(request(index), adapters[index % 4], id: 1, to: loop)
      while !loop.isIdle { loop.runStep() }
      alone.append(log.sampled())
    }
    let (loop, adapters) = try loop(3, shares: shares)
    for round in 0..<2 {
      var logs: [EventLog] = []
      for index in 0..<12 {
        logs.append(try submit(request(index), adapters[index % 4], id: round * 12 + index + 1, to: loop))
        if index % 5 == 4 { loop.runStep() }
      }
      while !loop.isIdle { loop.runStep() }
      for index in 0..<12 { #expect(logs[index].sampled() == alone[index], "request \(index) in round \(round)") }
    }
    #expect((loop.statistics.prefixHitTokens > 0) == shares)
  }

  @Test("the model alone answers beside adapters as a server without any, and each adapter answers otherwise")
  func different() throws {
    func answers(_ count: Int, _ chosen: (Int) -> Int) throws -> [[SampledToken]] {
      let (loop, adapters) = try loop(count)
      let logs = try (0..<4).map { try submit(request(2), adapters[chosen($0)], id: $0 + 1, to: loop) }
      while !loop.isIdle { loop.runStep() }
      return logs.map { $0.sampled() }
    }
    let plain = try answers(0) { _ in 0 }
    let mixed = try answers(3) { $0 }
    #expect(mixed[0] == plain[0] && Set(mixed.map { $0.map(\.token) }).count == 4)
  }

  @Test("what is cached for one adapter is found by no other, nor by its successor in the same place")
  func prefixes() throws {
    let (loop, adapters) = try loop(2)
    var id = 0
    func cachedTokens(_ adapter: PlacedAdapter?) throws -> Int? {
      id += 1
      let log = try submit(request(20), adapter, id: id, to: loop)
      while !loop.isIdle { loop.runStep() }
      return log.usage?.cachedTokens
    }
    for adapter in adapters { #expect(try cachedTokens(adapter) == 0) }
    for adapter in adapters { #expect(try cachedTokens(adapter) == 48) }
    let gone = try #require(adapters[1])
    let told = Mutex(false)
    loop.remove(gone) { told.withLock { $0 = true } }
    #expect(told.withLock { $0 })
    let next = try #require(try loop.adapters?.addRandom(rank: 8, seed: 9, scale: 500)).adapter
    #expect(next.number == gone.number && next.key != gone.key)
    #expect(try cachedTokens(next) == 0)
    try loop.blocks.checkInvariants(users: [])
  }

  @Test("an adapter stays until the requests that have it have ended, waiting ones too")
  func draining() throws {
    let (loop, adapters) = try loop(2, sequences: 1)
    let leaving = try #require(adapters[1])
    let logs = try [1, 0, 1].enumerated().map { try submit(request($1), adapters[$1], id: $0 + 1, to: loop) }
    let told = Mutex(false)
    loop.runStep()
    loop.remove(leaving) { told.withLock { $0 = true } }
    while !loop.isIdle {
      #expect(!told.withLock { $0 })
      loop.runStep()
    }
    #expect(told.withLock { $0 } && logs.allSatisfy { $0.usage?.completionTokens == 8 })
    #expect(throws: EngineError.adaptersFull(limit: 2)) {
      for _ in 0..<2 { _ = try loop.adapters?.addRandom(rank: 4, seed: 0, scale: 1) }
    }
  }

  @Test("an adapter from a folder answers as beside its model alone; names that are not there are refused")
  func folder() throws {
    let path = Goldens.path("adapters/llama-tiny")
    let prompt = (0..<20).map { Int32(($0 * 37 + 11) % 259) }
    let checkpoint = try Checkpoint.open(TinyModel.goldens)
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    let session = try LanguageModelSession(
      checkpoint, on: backend, pool: backend.pool, arithmetic: .f32, adapter: PEFTFolder(path: path))
    let expected = try session.answer(prompt, .greedy(12)).tokens

    var options = ServingOptions()
    options.adapterLimit = 2
    let own = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    let engine = try BatchEngine(checkpoint, on: own, pool: own.pool, arithmetic: .f32, options: options)
    func load(_ name: String) throws {
      let end = Mailbox<Result<Void, any Error>>()
      try engine.load(adapter: name, from: path) { end.send($0) }
      for result in end.receive(waits: true) { try result.get() }
    }
    var asked = ServingRequest(prompt: prompt, sampling: .greedy(12))
    asked.adapter = "keeper"
    #expect(throws: EngineError.adapterMissing(name: "keeper")) { try engine.submit(asked) { _ in } }
    try load("keeper")
    #expect(throws: EngineError.adapterExists(name: "keeper")) { try load("keeper") }
    try load("other")
    #expect(throws: EngineError.adaptersFull(limit: 2)) { try load("third") }
    let (log, base) = (WaitingLog(), WaitingLog())
    _ = try engine.submit(asked, onEvent: log.add)
    _ = try engine.submit(ServingRequest(prompt: prompt, sampling: .greedy(12)), onEvent: base.add)
    #expect(log.wait().tokens() == expected && base.wait().tokens() != expected)
    let end = Mailbox<Bool>()
    try engine.unload(adapter: "keeper") { end.send(true) }
    #expect(throws: EngineError.adapterMissing(name: "keeper")) { try engine.submit(asked) { _ in } }
    _ = end.receive(waits: true)
    try load("third")
  }
}
