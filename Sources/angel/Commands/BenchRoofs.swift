import AngelCPU
import AngelCore
import AngelTensor
import CAngelKernels

/// What this machine gives at most, measured: arithmetic on registers, and reads of a buffer larger than the caches.
struct BenchRoofs {
  /// Of one thread and of all of the backend's, per second.
  struct Rate {
    let one: Double
    let all: Double
  }

  /// Operations a second with float32 fused multiply-adds, bfloat16 pairs and int8 quadruples, where the CPU has them.
  let arithmetic: [(what: DType, rate: Rate)]
  /// Bytes a second.
  let read: Rate

  /// Measures all of them.
  init(_ memory: BenchMemory, _ backend: CPUBackend, quick: Bool, _ context: CommandContext) throws {
    let arithmeticSamples = quick ? 3 : 7
    let display = context.progress.start("measuring the machine", total: 4, unit: .items("roofs"))
    var found: [(what: DType, rate: Rate)] = []
    for (index, what) in [DType.float32, .bfloat16, .int8Rows].enumerated() {
      if let rate = try Self.arithmetic(what, backend, samples: arithmeticSamples, context) {
        found.append((what, rate))
      }
      display.update(to: index + 1)
    }
    arithmetic = found
    read = try Self.readBandwidth(memory, backend, samples: quick ? 5 : 20, context)
    display.finish()
  }

  /// The rate for a kind of arithmetic, float32's where the CPU has no instruction for the kind itself; nil where there is
  /// neither.
  func arithmetic(for what: DType) -> (what: DType, operationsPerSecond: Double)? {
    let found = arithmetic.first { $0.what == what } ?? arithmetic.first { $0.what == .float32 }
    return found.map { ($0.what, $0.rate.all) }
  }

  /// Medians of `samples` reads of the whole buffer, one thread and all threads in turn, in one stream and in four: the
  /// faster counts.
  static func readBandwidth(_ memory: BenchMemory, _ backend: CPUBackend, samples: Int, _ context: CommandContext)
    throws -> Rate
  {
    let rates = try [Int32(1), 4].map { streams in
      let arguments = angel_peaks_arguments(
        rounds: 0, bytes: UnsafeRawPointer(memory.allocation.address), count: Int64(memory.byteCount / 4096 * 4096),
        streams: streams, sinks: nil)
      guard let seconds = try seconds(.uint8, arguments, backend, samples: samples, context) else {
        preconditionFailure("every CPU can read")
      }
      let bytes = Double(arguments.count)
      return Rate(one: bytes / seconds.one, all: bytes / seconds.all)
    }
    return Rate(one: max(rates[0].one, rates[1].one), all: max(rates[0].all, rates[1].all))
  }

  private static func arithmetic(_ what: DType, _ backend: CPUBackend, samples: Int, _ context: CommandContext) throws
    -> Rate?
  {
    // About 20 ms of one core: long against waking a thread, short against a scheduler's patience.
    let rounds = 4_000_000
    let arguments = angel_peaks_arguments(rounds: Int64(rounds), bytes: nil, count: 0, streams: 1, sinks: nil)
    guard let seconds = try seconds(what, arguments, backend, samples: samples, context) else { return nil }
    let operations = Double(rounds) * Double(angel_peaks_round_operations(angel_dtype(what.rawValue)))
    return Rate(one: operations / seconds.one, all: operations / seconds.all)
  }

  /// Median times of a peaks kernel, one thread and all threads in turn; nil where the CPU has none.
  private static func seconds(
    _ what: DType, _ arguments: angel_peaks_arguments, _ backend: CPUBackend, samples: Int, _ context: CommandContext
  ) throws -> Rate? {
    guard let kernel = backend.kernel(ANGEL_FAMILY_peaks, KernelDTypes(what)) else { return nil }
    let single = try CPUBackend(pool: backend.pool, threadCount: 1)
    let clock = ContinuousClock()
    // One for each part; there are never more than a few parts a thread.
    var sinks = [UInt32](repeating: 0, count: 1 << 16)
    return try sinks.withUnsafeMutableBufferPointer { sinks in
      var arguments = arguments
      arguments.sinks = sinks.baseAddress
      func time(_ backend: CPUBackend) throws -> Double {
        try context.interruption.check()
        let begin = clock.now
        withUnsafeBytes(of: arguments) { backend.launch(kernel, $0, work: Work(bytes: 1 << 40)) }
        try backend.synchronize()
        return (clock.now - begin).seconds
      }
      var (one, all): ([Double], [Double]) = ([], [])
      _ = try time(backend)
      for _ in 0..<samples {
        one.append(try time(single))
        all.append(try time(backend))
      }
      return Rate(one: one.median, all: all.median)
    }
  }
}
