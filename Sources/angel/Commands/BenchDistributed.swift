import AngelCPU
import AngelCore
import AngelDistributed
import AngelMemory
import AngelModels
import AngelNN
import AngelPTM

/// `angel bench distributed`: what layouts send, and how much of it hides behind compute on links of a given rate.
///
/// Links are held to a rate by waiting, so the figures say what a network of that rate would leave to be seen. What moving and
/// summing take of the processor beside passes and updates counts as seen: the processes have no cores to spare.
enum BenchDistributed {
  static let gigabits = Option<[Int]>.integers(
    "gigabits", default: [1, 10], in: 1...10_000, help: "distributed: rates of links, Gb/s")
  static let options = [gigabits.declaration]

  /// One layout on links of one rate, all of this process but `sent`.
  private struct Row {
    let mesh: MeshConfiguration
    /// Nil: as fast as it goes.
    let gigabits: Int?
    let stepSeconds: Double
    /// Of a step without others.
    let aloneSeconds: Double
    /// Of a step, those in which it stood still for others.
    let waitedSeconds: Double
    /// Of a step, those of the processor that sending took meanwhile.
    let takenSeconds: Double
    /// The share of the wire's time that the times of steps on a free link let hide; nil where all of it stands in the way.
    let allowed: Double?
    /// What this process's bytes take at the link's rate.
    let wireSeconds: Double
    /// Bytes of a step that all processes send, and what the formula says.
    let sent: Int
    let formula: Int

    /// The share of the wire's time in which passes and updates went on; nil where the wire takes none.
    var hidden: Double? {
      wireSeconds > 0 ? max(0, min(1, 1 - (waitedSeconds + takenSeconds) / wireSeconds)) : nil
    }
  }

  private struct Measurement {
    let seconds: Double
    let waitedSeconds: Double
    let takenSeconds: Double
    let schedules: [StepSchedule]
    /// Sent by this process.
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
    let layouts = layouts(group.size)
    let rates: [Int?] = [nil] + arguments[gigabits].map { $0 }
    let display = context.progress.start(
      "measuring", total: 2 + layouts.count * rates.count, unit: .items("layouts"))
    // The last level runs layers twice, which one process by itself is then asked to do, too.
    let alone = try [0, 3].map { level in
      var mesh = MeshConfiguration()
      mesh.zero = level
      let seconds = try measurement(nil, mesh, arguments, context, backend).seconds
      display.advance(by: 1)
      return seconds
    }
    var rows: [Row] = []
    for mesh in layouts {
      // Those of the free link, which comes first.
      var schedules: [StepSchedule] = []
      for rate in rates {
        try context.interruption.check()
        rows.append(try row(group, mesh, rate, alone[mesh.zero / 3], &schedules, arguments, context, backend))
        display.advance(by: 1)
      }
    }
    display.finish()
    try show(rows, group.size, context)
  }

  /// Rows alone at every level, layers alone, and both where there are processes enough.
  private static func layouts(_ size: Int) -> [MeshConfiguration] {
    let places = (0...3).map { (size, 1, $0) } + [(1, size, 0)] + (size % 2 == 0 && size > 2 ? [(size / 2, 2, 1)] : [])
    return places.map { data, tensor, zero in
      var mesh = MeshConfiguration()
      (mesh.data, mesh.tensor, mesh.zero) = (data, tensor, zero)
      return mesh
    }
  }

  private static func row(
    _ group: any ProcessGroup, _ mesh: MeshConfiguration, _ rate: Int?, _ alone: Double,
    _ schedules: inout [StepSchedule], _ arguments: Arguments, _ context: CommandContext, _ backend: CPUBackend
  ) throws -> Row {
    let bitsPerSecond = rate.map { Double($0) * 1e9 }
    let link = Link(group, bitsPerSecond: bitsPerSecond)
    let measured = try measurement(link, mesh, arguments, context, backend)
    if rate == nil { schedules = measured.schedules }
    let bytes = try group.gathered([Double(measured.byteCount)], "the bench").reduce(0) { $0 + $1[0] }
    return Row(
      mesh: mesh, gigabits: rate, stepSeconds: measured.seconds, aloneSeconds: alone,
      waitedSeconds: measured.waitedSeconds, takenSeconds: measured.takenSeconds,
      allowed: bitsPerSecond.flatMap { rate in
        let shares = schedules.compactMap { $0.allowed(bitsPerSecond: rate) }
        return shares.isEmpty ? nil : shares.median
      },
      wireSeconds: bitsPerSecond.map { Double(8 * measured.byteCount) / $0 } ?? 0, sent: Int(bytes),
      formula: measured.formula)
  }

  /// Medians over some steps of one layout; of one process by itself where there is no link.
  private static func measurement(
    _ link: Link?, _ mesh: MeshConfiguration, _ arguments: Arguments, _ context: CommandContext, _ backend: CPUBackend
  ) throws -> Measurement {
    let kind = arguments[BenchTraining.model]
    let model = kind.make()
    fill(model, context, backend)
    var schedule = TrainingSchedule()
    schedule.accumulation = mesh.data
    schedule.watchEvery = nil
    schedule.steps = 1000
    schedule.recompute = mesh.zero == 3
    let (length, sequences) = (arguments[BenchTraining.sequence] ?? 128, arguments[BenchTraining.sequences] ?? 2)
    let source = RandomTokens(vocabularySize: 32_000, length: length, batchSize: sequences)
    let traffic = StepTraffic(of: model, mesh, passRows: length * sequences)
    let trainer = try Trainer(
      model, source: source, optimizer: OptimizerConfiguration(), learningRate: LearningRateSchedule(),
      schedule: schedule, mesh, mesh: link.map { try DeviceMesh(mesh.axes, world: $0) }, on: backend)
    _ = try trainer.takeStep()
    link?.meter.reset()
    var schedules: [StepSchedule] = []
    let records = try (0..<arguments[BenchTraining.steps]).map { _ in
      let record = try trainer.takeStep()
      if let schedule = trainer.lastSchedule { schedules.append(schedule) }
      return record
    }
    let bytes = link?.meter.total(where: StepTraffic.isCounted) ?? 0
    return Measurement(
      seconds: records.map(\.seconds).median, waitedSeconds: records.map(\.waitedSeconds).median,
      takenSeconds: records.map(\.takenSeconds).median, schedules: schedules,
      byteCount: bytes / records.count, formula: traffic.byteCount)
  }

  private static func fill(_ model: some LanguageModel, _ context: CommandContext, _ backend: CPUBackend) {
    model.compute(in: context.precision == .f32 ? .float32 : .bfloat16)
    InitialValues.fill(
      model, seed: 0, layerCount: model.configuration.cacheGeometry.layerCount, on: backend)
  }

  private static func name(_ mesh: MeshConfiguration) -> String {
    let rows = mesh.data > 1 ? ["data=\(mesh.data) zero=\(mesh.zero)"] : []
    let layers = mesh.tensor > 1 ? ["tensor=\(mesh.tensor)"] : []
    return (rows + layers).joined(separator: " ")
  }

  private static func show(_ rows: [Row], _ size: Int, _ context: CommandContext) throws {
    if context.printsJSON {
      for row in rows {
        try context.print([
          "bench": "layout", "processes": .integer(size), "data": .integer(row.mesh.data),
          "tensor": .integer(row.mesh.tensor), "zero": .integer(row.mesh.zero),
          "gigabits": row.gigabits.map { .integer($0) } ?? .null, "step_seconds": .number(row.stepSeconds),
          "alone_seconds": .number(row.aloneSeconds), "bytes": .integer(row.sent), "formula": .integer(row.formula),
          "wire_seconds": .number(row.wireSeconds), "waited_seconds": .number(row.waitedSeconds),
          "taken_seconds": .number(row.takenSeconds), "hidden": row.hidden.map { .number($0) } ?? .null,
          "allowed": row.allowed.map { .number($0) } ?? .null,
        ])
      }
      return
    }
    var table = Table([
      ("layout", .left), ("link", .right), ("step", .right), ("alone", .right), ("sent by all", .right),
      ("formula", .right), ("wire", .right), ("waited", .right), ("taken", .right), ("hidden", .right),
      ("allowed", .right),
    ])
    for row in rows {
      func time(_ seconds: Double) -> String { "\(TextFormat.fixed(seconds, digits: 3)) s" }
      func percent(_ share: Double?) -> String { share.map { "\(Int((100 * $0).rounded())) %" } ?? "" }
      table.append([
        name(row.mesh), row.gigabits.map { "\($0) Gb/s" } ?? "free", time(row.stepSeconds),
        time(row.aloneSeconds), "\(row.sent)", row.sent == row.formula ? "the same" : "\(row.formula)",
        row.gigabits == nil ? "" : time(row.wireSeconds), time(row.waitedSeconds), time(row.takenSeconds),
        percent(row.hidden), percent(row.allowed),
      ])
    }
    for line in table.lines { try context.output.line(line) }
  }
}
