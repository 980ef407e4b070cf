import AngelCPU
import AngelCore
import AngelMemory
import AngelHCF
import AngelModels
import AngelNN
import AngelTensor

/// `angel bench inference`: prefill and decode speed, load time and peak memory.
enum BenchInference {
  static let prompt = Option<Int>.integer("prompt", default: 512, in: 1...1 << 20, help: "tokens to prefill")
  static let generate = Option<Int>.integer("generate", default: 128, in: 1...1 << 20, help: "tokens to decode")
  static let depth = Option<Int>.integer("depth", default: 0, in: 0...1 << 20, help: "tokens cached before either")
  static let repetitions = Option<Int>.integer("repetitions", default: 5, in: 1...1000, help: "runs; the median counts")
  static let tests = Option<Tests>.choice(
    "tests", default: .both, help: "prefill and decode of one sequence: which of the two to run")
  static let batch = Option<[Int]>.integers(
    "batch", in: 1...4096,
    help: "also so many requests at once, \(BenchBatch.promptLength) tokens each, \(BenchBatch.answerLength) generated")
  static let adapters = Option<Int>.integer(
    "adapters", default: 0, in: 0...1024,
    help: "each batch also with N random adapters beside every layer (rank \(BenchBatch.adapterRank), bfloat16)")
  static let bandwidth = Option.flag(
    "bandwidth", help: "measure what memory gives too, and decode's share of it (1 GiB more)")
  static let options =
    [
      prompt.declaration, generate.declaration, depth.declaration, repetitions.declaration, tests.declaration,
      batch.declaration, adapters.declaration, BenchShape.option.declaration, BenchShape.format.declaration,
      bandwidth.declaration,
    ] + SessionOptions.withoutContext

  /// Which rows are measured.
  enum Tests: String, CaseIterable {
    case both, prefill, decode, none
    var hasPrefill: Bool { self == .both || self == .prefill }
    var hasDecode: Bool { self == .both || self == .decode }
  }

  /// The median run of one test.
  struct Row {
    let test: String
    var batch = 1
    /// Different adapters that the requests of a batch have in turn.
    var adapters = 0
    let tokens: Int
    let tokensPerSecond: Double
    let tokensPerCPUSecond: Double
    let spread: ClosedRange<Double>
    /// Decode: bytes of weights and cache that a token needs, as they are held.
    var bytesPerToken: Int?
    /// Batches: how much of the time went into everything but the model.
    var schedulingShare: Double?
  }

  /// Everything one run found.
  private struct Report {
    var rows: [Row]
    let loadSeconds: Double
    let peakBytes: Int
    let backend: CPUBackend
    let name: String
    var readBandwidth: Double?

    /// A row's name; with adapters also its share of the speed without, which stands in the row before.
    func name(of row: Row) -> String {
      guard row.test == "batch" else { return row.test }
      guard row.adapters > 0,
        let base = rows.first(where: { $0.test == "batch" && $0.batch == row.batch && $0.adapters == 0 })
      else {
        return "batch of \(row.batch)"
      }
      let share = TextFormat.fixed(100 * row.tokensPerSecond / base.tokensPerSecond, digits: 0)
      return "batch of \(row.batch), \(row.adapters) adapters: \(share) %"
    }

    func shareOfBandwidth(_ row: Row) -> Double? {
      guard let readBandwidth, let bytes = row.bytesPerToken else { return nil }
      return Double(bytes) * row.tokensPerSecond / readBandwidth
    }
  }

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let clock = ContinuousClock()
    let begin = clock.now
    let peers = try context.joinPeers()
    if peers != nil, arguments.has(batch) {
      throw UsageError("--batch: several processes serve no batches yet", command: BenchCommand.name)
    }
    let context = context.speaking(peers)
    let backend = try context.makeBackend(arguments)
    let (engine, name) = try makeEngine(arguments, among: peers, on: backend, context)
    let loadSeconds = (clock.now - begin).seconds
    var rows: [Row] = []
    if arguments[tests].hasPrefill {
      rows.append(
        try measure("prefill", tokens: arguments[prompt], engine, arguments, context) { sequence, tokens in
          _ = try engine.logits(after: tokens, in: sequence)
        })
    }
    if arguments[tests].hasDecode {
      rows.append(
        try measure("decode", tokens: arguments[generate], engine, arguments, context) { sequence, tokens in
          for token in tokens { _ = try engine.logits(after: [token], in: sequence) }
        })
    }
    let batches = BenchBatch(model: engine.model, backend: backend, arguments: arguments, context: context)
    for count in arguments[batch] {
      rows.append(try batches.measure(count))
      if arguments[adapters] > 0 { rows.append(try batches.measure(count, adapters: arguments[adapters])) }
    }
    guard !rows.isEmpty else {
      throw UsageError("--tests none without --batch leaves nothing to measure", command: BenchCommand.name)
    }
    var report = Report(
      rows: rows, loadSeconds: loadSeconds, peakBytes: ProcessMemory.peak(), backend: backend, name: name)
    if arguments[bandwidth] {
      let memory = try BenchMemory(on: backend)
      report.readBandwidth = try BenchRoofs.readBandwidth(memory, backend, samples: 20, context).all
    }
    try show(report, context)
    try peers?.leave()
  }

  /// What the longest of the tests of one sequence needs.
  static func contextLength(_ arguments: Arguments) -> Int {
    let tests = arguments[tests]
    return arguments[depth]
      + max(1, tests.hasPrefill ? arguments[prompt] : 0, tests.hasDecode ? arguments[generate] : 0)
  }

  private static func makeEngine(
    _ arguments: Arguments, among peers: PeerWorld?, on backend: CPUBackend, _ context: CommandContext
  ) throws -> (InferenceEngine, name: String) {
    if let shape = arguments[BenchShape.option] {
      if let extra = arguments.positional(1) {
        throw UsageError("--shape takes the place of MODEL '\(extra)': give one of them", command: BenchCommand.name)
      }
      let format = arguments[BenchShape.format]
      let engine = try shape.makeEngine(format, arguments, among: peers, on: backend, context)
      engine.isInterrupted = { [interruption = context.interruption] in
        peers?.anyone(interruption.isRequested) ?? interruption.isRequested
      }
      return (engine, "\(shape.rawValue) \(format.name), random weights")
    }
    if arguments.has(BenchShape.format) {
      throw UsageError("--format goes with --shape: a MODEL has its own", command: BenchCommand.name)
    }
    let model = try arguments.required(1, "MODEL or --shape", BenchCommand.name)
    return (
      try context.openSession(
        model, arguments, contextLength: contextLength(arguments), among: peers, on: backend
      ).engine, model
    )
  }

  private static func measure(
    _ test: String, tokens count: Int, _ engine: InferenceEngine, _ arguments: Arguments, _ context: CommandContext,
    _ body: (CachedSequence, [Int32]) throws -> Void
  ) throws -> Row {
    // Any tokens do: the arithmetic is the same. They differ, so that rows of the embedding do.
    func tokens(_ count: Int) -> [Int32] { (0..<count).map { Int32(($0 * 7919 + 13) % engine.vocabularySize) } }
    let clock = ContinuousClock()
    let display = context.progress.start(test, total: arguments[repetitions] + 1, unit: .items("runs"))
    let sequence = engine.makeSequence()
    try engine.append(tokens(arguments[depth]), to: sequence)
    var samples: [(wall: Double, cpu: Double)] = []
    for repetition in 0...arguments[repetitions] {
      try context.interruption.check()
      let (begin, cpu) = (clock.now, BenchCommand.cpuSeconds())
      try body(sequence, tokens(count))
      // The first run warms caches and thread pool and does not count.
      if repetition > 0 { samples.append(((clock.now - begin).seconds, BenchCommand.cpuSeconds() - cpu)) }
      sequence.truncate(to: arguments[depth])
      display.update(to: repetition + 1)
    }
    display.finish()
    func rate(_ seconds: Double) -> Double { Double(count) / seconds }
    let walls = samples.map(\.wall).sorted()
    let middle = arguments[depth] + count / 2
    return Row(
      test: test, tokens: count, tokensPerSecond: rate(walls.median),
      tokensPerCPUSecond: rate(samples.map(\.cpu).median), spread: rate(walls[walls.count - 1])...rate(walls[0]),
      bytesPerToken: test == "decode"
        ? bytesPerToken(engine.model) + engine.cacheBytes(of: middle) : nil)
  }

  /// Weights as they are held, all but an embedding that is no output head too.
  private static func bytesPerToken(_ model: any LanguageModel) -> Int {
    let parameters = model.parameterShapes()
    let hasHead = parameters.contains { $0.path == "head.weight" }
    return parameters.reduce(0) { total, entry in
      guard case .matrix(let matrix, _) = entry.parameter.value else {
        return total + 4 * entry.parameter.shape.elementCount
      }
      if hasHead, entry.path == "embedding.weight" { return total }
      return total + matrix.byteCount
    }
  }

  private static func show(_ report: Report, _ context: CommandContext) throws {
    if context.printsJSON { return try context.print(json(report, context)) }
    var table = Table([
      ("TEST", .left), ("TOKENS", .right), ("THREADS", .right), ("TOKENS/S", .right), ("SPREAD", .right),
      ("PER CPU-S", .right),
    ])
    func one(_ value: Double) -> String { TextFormat.fixed(value, digits: 1) }
    for row in report.rows {
      table.append([
        report.name(of: row), "\(row.tokens)", "\(report.backend.threadCount)",
        one(row.tokensPerSecond),
        "\(one(row.spread.lowerBound))-\(one(row.spread.upperBound))", one(row.tokensPerCPUSecond),
      ])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
    if let bandwidth = report.readBandwidth {
      let share = report.rows.compactMap(report.shareOfBandwidth).first
      try context.output.line(
        "memory reads \(one(bandwidth * 1e-9)) GB/s"
          + (share.map { "; decode uses \(TextFormat.fixed($0 * 100, digits: 0)) % of it" } ?? ""))
    }
    try context.output.line(
      "loaded in \(TextFormat.fixed(report.loadSeconds, digits: 3)) s, peak memory "
        + "\(TextFormat.bytes(report.peakBytes)), kernels for \(report.backend.instructionSet)")
  }

  private static func json(_ report: Report, _ context: CommandContext) -> JSONValue {
    func optional(_ number: Double?) -> JSONValue { number.map(JSONValue.number) ?? .null }
    let rows = report.rows.map { row -> JSONValue in
      [
        "test": .string(row.test), "tokens": .integer(row.tokens), "batch": .integer(row.batch),
        "adapters": .integer(row.adapters),
        "threads": .integer(report.backend.threadCount), "tokens_per_second": .number(row.tokensPerSecond),
        "tokens_per_cpu_second": .number(row.tokensPerCPUSecond), "slowest": .number(row.spread.lowerBound),
        "fastest": .number(row.spread.upperBound),
        "bytes_per_token": row.bytesPerToken.map(JSONValue.integer) ?? .null,
        "share_of_bandwidth": optional(report.shareOfBandwidth(row)),
        "scheduling_share": optional(row.schedulingShare),
      ]
    }
    return [
      "rows": .array(rows), "model": .string(report.name), "load_seconds": .number(report.loadSeconds),
      "peak_rss_bytes": .integer(report.peakBytes), "precision": .string(context.arithmetic.rawValue),
      "instruction_set": .string(report.backend.instructionSet),
      "read_gbytes_per_second": optional(report.readBandwidth.map { $0 * 1e-9 }),
    ]
  }
}
