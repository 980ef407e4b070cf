import CAngelKernels
import Testing

/// Counts, per part, how often a run executed it. The run's number guards against arguments of another run.
private struct CountingArguments {
  var counts: UnsafeMutablePointer<Int32>
  var total: Int32
  var work: Int32
}

// Parts are disjoint, so plain increments are enough: a part run twice, or by a late worker, shows as a wrong count.
private let counting: @convention(c) (UnsafeRawPointer?, Int32, Int32) -> Void = { pointer, part, parts in
  guard let arguments = pointer?.load(as: CountingArguments.self) else { return }
  var noise: Int32 = 0
  for i in 0..<arguments.work { noise = noise &* 31 &+ i }
  arguments.counts[Int(part)] += parts == arguments.total ? 1 : 1000 + (noise & 1)
}

private struct ChainArguments {
  var source: UnsafeMutablePointer<Int64>
  var target: UnsafeMutablePointer<Int64>
}

// Every slot of the source must hold the same value; its remainder plus one goes to this part's slots of the target.
private let chaining: @convention(c) (UnsafeRawPointer?, Int32, Int32) -> Void = { pointer, part, parts in
  guard let arguments = pointer?.load(as: ChainArguments.self) else { return }
  let value = arguments.source[0]
  let isUniform = (0..<16).allSatisfy { arguments.source[$0] == value }
  for slot in (16 * Int(part) / Int(parts))..<(16 * Int(part + 1) / Int(parts)) {
    arguments.target[slot] += isUniform ? value % 1009 + 1 : -1_000_000
  }
}

@Suite struct PoolTests {
  @Test("Every part runs exactly once, run after run", arguments: [1, 2, 3, 7] as [Int32])
  func exactlyOnce(_ threads: Int32) throws {
    let pool = try #require(angel_pool_create(threads))
    defer { angel_pool_destroy(pool) }
    #expect(angel_pool_threads(pool) == threads)
    var isExact = true
    for run in 0..<3000 {
      let parts = [1, 2, 5, 16, 3][run % 5]
      // Fresh memory for every run: a worker that outlived its run would write to freed memory or spoil a count.
      let counts = UnsafeMutablePointer<Int32>.allocate(capacity: parts)
      counts.initialize(repeating: 0, count: parts)
      let arguments = CountingArguments(counts: counts, total: Int32(parts), work: run % 7 == 0 ? 2000 : 0)
      withUnsafePointer(to: arguments) { angel_pool_run(pool, counting, $0, Int32(parts)) }
      isExact = isExact && (0..<parts).allSatisfy { counts[$0] == 1 }
      counts.deallocate()
    }
    #expect(isExact)
  }

  @Test("A list runs its launches in order, every part once", arguments: [1, 2, 3, 7] as [Int32])
  func lists(_ threads: Int32) throws {
    let pool = try #require(angel_pool_create(threads))
    defer { angel_pool_destroy(pool) }
    let launchCount = 40
    for run in 0..<200 {
      // Launch i sums what launch i - 1 left in its 16 slots, plus one, into each of its own: any overlap of two launches,
      // any part lost or run twice gives another final value.
      let slots = UnsafeMutablePointer<Int64>.allocate(capacity: (launchCount + 1) * 16)
      slots.initialize(repeating: 0, count: (launchCount + 1) * 16)
      defer { slots.deallocate() }
      let arguments = (0..<launchCount).map { ChainArguments(source: slots + $0 * 16, target: slots + ($0 + 1) * 16) }
      arguments.withUnsafeBufferPointer { buffer in
        let launches = buffer.indices.map { index in
          angel_launch(
            kernel: chaining, arguments: buffer.baseAddress! + index, parts: [1, 16, 5, 2, 0, 7][(index + run) % 6])
        }
        angel_pool_replay(pool, launches, Int64(launches.count))
      }
      var expected: Int64 = 0
      for index in 0..<launchCount { expected = [1, 16, 5, 2, 0, 7][(index + run) % 6] == 0 ? 0 : expected % 1009 + 1 }
      #expect((0..<16).allSatisfy { slots[launchCount * 16 + $0] == expected })
    }
  }

  @Test("Pools come and go without work, and zero parts do nothing")
  func comeAndGo() throws {
    for threads in [1, 2, 4] as [Int32] {
      for _ in 0..<50 {
        let pool = try #require(angel_pool_create(threads))
        angel_pool_run(pool, counting, nil, 0)
        angel_pool_destroy(pool)
      }
    }
  }

  @Test("A pool needs at least one thread")
  func refusesNone() {
    #expect(angel_pool_create(0) == nil)
    #expect(angel_pool_create(-3) == nil)
  }

  @Test("There is at least one physical core")
  func physicalCores() { #expect(angel_physical_cores() >= 1) }

  @Test("Forcing an unsupported instruction set is refused")
  func refusesForeignSets() {
    #expect(angel_isa_force(angel_isa(rawValue: 77)) == -1)
    #expect(String(cString: angel_isa_name(angel_isa(rawValue: 77))) == "unknown")
    #expect(supportedSets.contains(angel_isa_current()))
    #expect(supportedSets.contains(ANGEL_ISA_SCALAR))
  }
}
