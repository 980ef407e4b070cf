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
