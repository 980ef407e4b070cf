import AngelCPU
import AngelCore
import AngelHCF
import AngelMemory
import Glibc

/// `angel bench inference MODEL`: prefill and decode speed, load time and peak memory.
enum BenchCommand: Command {
  static let name = "bench"
  static let summary = "measure how fast a model reads and writes"
  static let details = """
    prefill reads --prompt tokens at once, decode writes --generate tokens one by one, each after --depth tokens; one run
    warms up, then the median of --repetitions counts. tokens/s is by the clock, per CPU-s by the time all threads took.
    """
  static let positionals = [
    Positional(name: "WHAT", choices: ["inference"], help: "what to measure"),
    Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file"),
  ]
  static let prompt = Option<Int>.integer("prompt", default: 512, in: 1...1 << 20, help: "tokens to prefill")
  static let generate = Option<Int>.integer("generate", default: 128, in: 1...1 << 20, help: "tokens to decode")
  static let depth = Option<Int>.integer("depth", default: 0, in: 0...1 << 20, help: "tokens cached before either")
  static let repetitions = Option<Int>.integer("repetitions", default: 5, in: 1...1000, help: "runs; the median counts")
  static let options =
    [prompt.declaration, generate.declaration, depth.declaration, repetitions.declaration]
    + SessionOptions.withoutContext
  static let examples = ["bench inference smollm2 --threads 2", "bench inference smollm2 --depth 4096 --json"]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(1, "MODEL", name)
    try context.interruption.deferred {
      let clock = ContinuousClock()
      let begin = clock.now
      let backend = try context.makeBackend(arguments)
      let length = arguments[depth] + max(arguments[prompt], arguments[generate])
      let session = try context.openSession(model, arguments, contextLength: length, on: backend)
      let loadSeconds = (clock.now - begin).seconds
      let rows = try [
        measure("prefill", tokens: arguments[prompt], session.engine, arguments, context) { engine, sequence, tokens in
          _ = try engine.logits(after: tokens, in: sequence)
        },
        measure("decode", tokens: arguments[generate], session.engine, arguments, context) { engine, sequence, tokens in
          for token in tokens { _ = try engine.logits(after: [token], in: sequence) }
        },
      ]
      try show(rows, loadSeconds: loadSeconds, backend, context)
    }
  }

  /// The median run of one test.
  private struct Row {
    let test: String
    let tokens: Int
    let tokensPerSecond: Double
    let tokensPerCPUSecond: Double
    let spread: ClosedRange<Double>
  }

  private static func measure(
    _ test: String, tokens count: Int, _ engine: InferenceEngine, _ arguments: Arguments, _ context: CommandContext,
    _ body: (InferenceEngine, CachedSequence, [Int32]) throws -> Void
  ) throws -> Row {
    // Any tokens do: the arithmetic is the same. They differ, so that rows of the embedding do.
    func tokens(_ count: Int) -> [Int32] { (0..<count).map { Int32(($0 * 7919 + 13) % engine.vocabularySize) } }
    let clock = ContinuousClock()
    let display = context.progress.start(test, total: arguments[repetitions] + 1, unit: .items("runs"))
    var samples: [(wall: Double, cpu: Double)] = []
    for repetition in 0...arguments[repetitions] {
      try context.interruption.check()
      let sequence = engine.makeSequence()
      try engine.append(tokens(arguments[depth]), to: sequence)
      let (begin, cpu) = (clock.now, cpuSeconds())
      try body(engine, sequence, tokens(count))
      // The first run warms caches and thread pool and does not count.
      if repetition > 0 { samples.append(((clock.now - begin).seconds, cpuSeconds() - cpu)) }
      display.update(to: repetition + 1)
    }
    display.finish()
    func rate(_ seconds: Double) -> Double { Double(count) / seconds }
    let walls = samples.map(\.wall).sorted()
    let cpus = samples.map(\.cpu).sorted()
    return Row(
      test: test, tokens: count, tokensPerSecond: rate(walls[walls.count / 2]),
      tokensPerCPUSecond: rate(cpus[cpus.count / 2]), spread: rate(walls[walls.count - 1])...rate(walls[0]))
  }

  private static func show(
    _ rows: [Row], loadSeconds: Double, _ backend: CPUBackend, _ context: CommandContext
  ) throws {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let peak = Int(usage.ru_maxrss) * 1024
    if context.printsJSON {
      return try context.print([
        "rows": .array(
          rows.map {
            [
              "test": .string($0.test), "tokens": .integer($0.tokens), "batch": 1,
              "threads": .integer(backend.threadCount), "tokens_per_second": .number($0.tokensPerSecond),
              "tokens_per_cpu_second": .number($0.tokensPerCPUSecond),
              "slowest": .number($0.spread.lowerBound), "fastest": .number($0.spread.upperBound),
            ]
          }),
        "load_seconds": .number(loadSeconds), "peak_rss_bytes": .integer(peak),
        "precision": .string(context.arithmetic.rawValue), "instruction_set": .string(backend.instructionSet),
      ])
    }
    var table = Table([
      ("TEST", .left), ("TOKENS", .right), ("THREADS", .right), ("TOKENS/S", .right), ("SPREAD", .right),
      ("PER CPU-S", .right),
    ])
    func one(_ value: Double) -> String { TextFormat.fixed(value, digits: 1) }
    for row in rows {
      table.append([
        row.test, "\(row.tokens)", "\(backend.threadCount)", one(row.tokensPerSecond),
        "\(one(row.spread.lowerBound))-\(one(row.spread.upperBound))", one(row.tokensPerCPUSecond),
      ])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
    try context.output.line(
      "loaded in \(TextFormat.fixed(loadSeconds, digits: 3)) s, peak memory \(TextFormat.bytes(peak)), "
        + "kernels for \(backend.instructionSet)")
  }

  private static func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
