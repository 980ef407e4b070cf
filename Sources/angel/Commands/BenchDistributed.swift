import AngelCPU
import AngelCore
import AngelDistributed
import AngelMemory
import AngelModels
import AngelNN
import AngelPTM

/// `angel bench distributed`: what layouts send, and how much of it hides behind compute on links of a given rate.
///
/// Links are held to a rate by waiting, so the figures say what a network of that rate would leave to be seen.
enum BenchDistributed {
  static let gigabits = Option<[Int]>.integers(
    "gigabits", default: [1, 10], in: 1...10_000, help: "distributed: rates of links, Gb/s")
  static let options = [gigabits.declaration]

  /// One layout on links of one rate, all of this process but `sent`.
  private struct Row {
    let zero: Int
    /// Nil: as fast as it goes.
    let gigabits: Int?
    let stepSeconds: Double
    /// Of a step without others.
    let aloneSeconds: Double
    /// Of a step, those in which it stood still for others.
    let waitedSeconds: Double
    /// What this process's bytes take at the link's rate.
    let wireSeconds: Double
    /// Bytes of a step that all processes send, of gradients and parameters, and what the formula says.
    let sent: Int
    let formula: Int

    /// The share of the wire's time in which passes and updates went on; nil where the wire takes none.
    var hidden: Double? {
      wireSeconds > 0 ? max(0, min(1, 1 - waitedSeconds / wireSeconds)) : nil
    }
  }

  private struct Measurement {
    let seconds: Double
    let waitedSeconds: Double
    /// Of gradients and parameters, sent by this process.
    let byteCount: Int
    /// What all send by the formula.
    let formula: Int
  }

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    guard let world = try context.joinWorld(patience: MeshConfiguration()) else {
      throw UsageError("it takes several processes: mpirun -n 2 angel bench distributed", command: "bench")
    }
    try measure(
      world.group, "processes of \(world.library)", arguments, world.rank == 0 ? context : context.silent)
    try world.leave()
  }

  private static func measure(
    _ group: any ProcessGroup, _ kind: String, _ arguments: Arguments, _ context: CommandContext
  ) throws {
    let backend = try CPUBackend(pool: PagePool(), threadCount: context.threads ?? 1)
    try BenchAllReduce.run(group, kind, context)
    var rows: [Row] = []
    let rates: [Int?] = [nil] + arguments[gigabits].map { $0 }
    let display = context.progress.start("measuring", total: 2 + 4 * rates.count, unit: .items("layouts"))
    // The last level runs layers twice, which one process by itself is then asked to do, too.
    let alone = try [0, 3].map { level in
      let seconds = try measurement(nil, level, arguments, context, backend).seconds
      display.advance(by: 1)
      return seconds
    }
    for zero in 0...3 {
      for rate in rates {
        try context.interruption.check()
        rows.append(try row(group, zero, rate, alone[zero / 3], arguments, context, backend))
        display.advance(by: 1)
      }
    }
    display.finish()
    try show(rows, group.size, context)
  }

  private static func row(
    _ group: any ProcessGroup, _ zero: Int, _ rate: Int?, _ alone: Double, _ arguments: Arguments,
    _ context: CommandContext, _ backend: CPUBackend
  ) throws -> Row {
    let bitsPerSecond = rate.map { Double($0) * 1e9 }
    let link = Link(group, bitsPerSecond: bitsPerSecond)
    let measured = try measurement(link, zero, arguments, context, backend)
    let bytes = try group.gathered([Double(measured.byteCount)], "the bench").reduce(0) { $0 + $1[0] }
    return Row(
      zero: zero, gigabits: rate, stepSeconds: measured.seconds, aloneSeconds: alone,
      waitedSeconds: measured.waitedSeconds,
      wireSeconds: bitsPerSecond.map { Double(8 * measured.byteCount) / $0 } ?? 0, sent: Int(bytes),
      formula: measured.formula)
  }

  /// Medians over some steps of one layout; of one process by itself where there is no link.
  private static func measurement(
    _ link: Link?, _ zero: Int, _ arguments: Arguments, _ context: CommandContext, _ backend: CPUBackend
  ) throws -> Measurement {
    let size = link?.size ?? 1
    let kind = arguments[BenchTraining.model]
    let model = kind.make()
    fill(model, context, backend)
    var schedule = TrainingSchedule()
    schedule.accumulation = size
    schedule.watchEvery = nil
    schedule.steps = 1000
    schedule.recompute = zero == 3
    let source = RandomTokens(
      vocabularySize: 32_000, length: arguments[BenchTraining.sequence] ?? 128,
      batchSize: arguments[BenchTraining.sequences] ?? 2)
    var mesh = MeshConfiguration()
    (mesh.data, mesh.zero) = (size, zero)
    let trainer: Trainer
    if let link {
      trainer = try Trainer(
        model, source: source, optimizer: OptimizerConfiguration(), learningRate: LearningRateSchedule(),
        schedule: schedule, mesh: mesh, link, on: backend)
    } else {
      trainer = try Trainer(
        model, source: source, optimizer: OptimizerConfiguration(), learningRate: LearningRateSchedule(),
        schedule: schedule, on: backend)
    }
    _ = try trainer.takeStep()
    link?.meter.reset()
    let records = try (0..<arguments[BenchTraining.steps]).map { _ in try trainer.takeStep() }
    let bytes = link?.meter.total { $0.hasSuffix("of gradients") || $0.hasSuffix("of parameters") } ?? 0
    return Measurement(
      seconds: records.map(\.seconds).median, waitedSeconds: records.map(\.waitedSeconds).median,
      byteCount: bytes / records.count, formula: StepTraffic.byteCount(of: model, mesh))
  }

  private static func fill(_ model: some LanguageModel, _ context: CommandContext, _ backend: CPUBackend) {
    model.compute(in: context.precision == .f32 ? .float32 : .bfloat16)
    InitialValues.fill(
      model, seed: 0, layerCount: model.configuration.cacheGeometry.layerCount, on: backend)
  }

  private static func show(_ rows: [Row], _ size: Int, _ context: CommandContext) throws {
    if context.printsJSON {
      for row in rows {
        try context.print([
          "bench": "layout", "processes": .integer(size), "zero": .integer(row.zero),
          "gigabits": row.gigabits.map { .integer($0) } ?? .null, "step_seconds": .number(row.stepSeconds),
          "alone_seconds": .number(row.aloneSeconds), "bytes": .integer(row.sent), "formula": .integer(row.formula),
          "wire_seconds": .number(row.wireSeconds), "waited_seconds": .number(row.waitedSeconds),
          "hidden": row.hidden.map { .number($0) } ?? .null,
        ])
      }
      return
    }
    var table = Table([
      ("layout", .left), ("link", .right), ("step", .right), ("alone", .right), ("sent by all", .right),
      ("formula", .right), ("wire", .right), ("waited", .right), ("hidden", .right),
    ])
    for row in rows {
      func time(_ seconds: Double) -> String { "\(TextFormat.fixed(seconds, digits: 3)) s" }
      table.append([
        "data=\(size) zero=\(row.zero)", row.gigabits.map { "\($0) Gb/s" } ?? "free", time(row.stepSeconds),
        time(row.aloneSeconds), "\(row.sent)", row.sent == row.formula ? "the same" : "\(row.formula)",
        row.gigabits == nil ? "" : time(row.wireSeconds), time(row.waitedSeconds),
        row.hidden.map { "\(Int((100 * $0).rounded())) %" } ?? "",
      ])
    }
    for line in table.lines { try context.output.line(line) }
  }
}
