import AngelCPU
import AngelCore
import AngelDistributed
import AngelMemory
import AngelModels
import AngelNN
import AngelPTM

/// `angel bench distributed`: what layouts send, and how much of it hides behind compute on links of a given rate.
///
/// Links are held to a rate by waiting, so the figures say what a network of that rate would leave to be seen. One run
/// of steps takes the rates in turns, so that a slow moment of the machine meets all of them. What processes wait for
/// each other and what sums take is there on the free link, too: it stands in that link's row, and only what a rate
/// adds to it is the wire's.
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
    /// The share of the wire's time that the times of steps on a free link let hide; nil where all of it is in the way.
    let allowed: Double?
    /// What this process's bytes take at the link's rate.
    let wireSeconds: Double
    /// What the rate adds to the free link's seconds of standing still and of the processor, and to the whole step's.
    let shownSeconds: Double
    let longerSeconds: Double
    /// Bytes of a step that all processes send, and what the formula says.
    let sent: Int
    let formula: Int

    /// The share of the wire's time that does not show beside a step on the free link; nil where the wire takes none.
    var hidden: Double? { wireSeconds > 0 ? max(0, min(1, 1 - shownSeconds / wireSeconds)) : nil }
    /// Whether the aim is reached; nil where the arithmetic forbids it or says nothing.
    var isReached: Bool? {
      guard let hidden, let allowed, allowed >= BenchDistributed.aim else { return nil }
      return hidden >= BenchDistributed.aim
    }
  }

  /// The share of the wire's time to be hidden where the arithmetic allows it.
  private static let aim = 0.8

  private struct Measurement {
    /// Of each rate, one a turn.
    let records: [[StepRecord]]
    /// Of steps on the free link.
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
      "measuring", total: 2 + layouts.count, unit: .items("layouts"))
    // The last level runs layers twice, which one process by itself is then asked to do, too.
    let alone = try [0, 3].map { level in
      var mesh = MeshConfiguration()
      mesh.zero = level
      let seconds = try measurement(nil, [nil], mesh, arguments, context, backend).records[0].map(\.seconds).median
      display.advance(by: 1)
      return seconds
    }
    var rows: [Row] = []
    for mesh in layouts {
      try context.interruption.check()
      rows += try self.rows(group, mesh, rates, alone[mesh.zero / 3], arguments, context, backend)
      display.advance(by: 1)
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

  /// Those of one layout, the free link's first.
  private static func rows(
    _ group: any ProcessGroup, _ mesh: MeshConfiguration, _ rates: [Int?], _ alone: Double,
    _ arguments: Arguments, _ context: CommandContext, _ backend: CPUBackend
  ) throws -> [Row] {
    let measured = try measurement(group, rates, mesh, arguments, context, backend)
    let bytes = try group.gathered([Double(measured.byteCount)], "the bench").reduce(0) { $0 + $1[0] }
    let free = measured.records[0]
    return zip(rates, measured.records).map { rate, records in
      let bitsPerSecond = rate.map { Double($0) * 1e9 }
      let shares = bitsPerSecond.map { rate in measured.schedules.compactMap { $0.allowed(bitsPerSecond: rate) } } ?? []
      /// The median over turns of what this rate adds.
      func added(_ seconds: (StepRecord) -> Double) -> Double {
        zip(records, free).map { seconds($0) - seconds($1) }.median
      }
      return Row(
        mesh: mesh, gigabits: rate, stepSeconds: records.map(\.seconds).median, aloneSeconds: alone,
        waitedSeconds: records.map(\.waitedSeconds).median, takenSeconds: records.map(\.takenSeconds).median,
        allowed: shares.isEmpty ? nil : shares.median,
        wireSeconds: bitsPerSecond.map { Double(8 * measured.byteCount) / $0 } ?? 0,
        shownSeconds: added { $0.waitedSeconds + $0.takenSeconds }, longerSeconds: added(\.seconds),
        sent: Int(bytes), formula: measured.formula)
    }
  }

  /// Steps of one layout at several rates in turns; of one process by itself where there is no group.
  private static func measurement(
    _ group: (any ProcessGroup)?, _ rates: [Int?], _ mesh: MeshConfiguration, _ arguments: Arguments,
    _ context: CommandContext, _ backend: CPUBackend
  ) throws -> Measurement {
    let kind = arguments[BenchTraining.model]
    let model = kind.make()
    fill(model, context, backend)
    var schedule = TrainingSchedule()
    schedule.accumulation = mesh.data
    schedule.watchEvery = nil
    let stepCount = 2 * rates.count * arguments[BenchTraining.steps]
    schedule.steps = 1 + stepCount
    schedule.recompute = mesh.zero == 3
    let (length, sequences) = (arguments[BenchTraining.sequence] ?? 128, arguments[BenchTraining.sequences] ?? 2)
    let source = RandomTokens(vocabularySize: 32_000, length: length, batchSize: sequences)
    let traffic = StepTraffic(of: model, mesh, passRows: length * sequences)
    let pace = Pace()
    let link = group.map { Link($0, pace: pace) }
    let trainer = try Trainer(
      model, source: source, optimizer: OptimizerConfiguration(), learningRate: LearningRateSchedule(),
      schedule: schedule, mesh, mesh: link.map { try DeviceMesh(mesh.axes, world: $0) }, on: backend)
    _ = try trainer.takeStep()
    link?.meter.reset()
    var schedules: [StepSchedule] = []
    var records = rates.map { _ in [StepRecord]() }
    for _ in 0..<arguments[BenchTraining.steps] {
      for (index, rate) in rates.enumerated() {
        pace.hold(to: rate.map { Double($0) * 1e9 })
        // What a step ends with may come during the next, so the first at a rate is not one of that rate alone.
        _ = try trainer.takeStep()
        records[index].append(try trainer.takeStep())
        if rate == nil, let schedule = trainer.lastSchedule { schedules.append(schedule) }
      }
    }
    let bytes = link?.meter.total(where: StepTraffic.isCounted) ?? 0
    return Measurement(
      records: records, schedules: schedules, byteCount: bytes / stepCount, formula: traffic.byteCount)
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
          "taken_seconds": .number(row.takenSeconds), "shown_seconds": .number(row.shownSeconds),
          "longer_seconds": .number(row.longerSeconds), "hidden": row.hidden.map { .number($0) } ?? .null,
          "allowed": row.allowed.map { .number($0) } ?? .null,
          "reached": row.isReached.map { .bool($0) } ?? .null,
        ])
      }
      return
    }
    var table = Table([
      ("layout", .left), ("link", .right), ("step", .right), ("alone", .right), ("sent by all", .right),
      ("formula", .right), ("wire", .right), ("waited", .right), ("taken", .right), ("shown", .right),
      ("step longer", .right), ("hidden", .right), ("allowed", .right), ("80 %", .left),
    ])
    for row in rows {
      func time(_ seconds: Double) -> String { "\(TextFormat.fixed(seconds, digits: 3)) s" }
      func percent(_ share: Double?) -> String { share.map { "\(Int((100 * $0).rounded())) %" } ?? "" }
      table.append([
        name(row.mesh), row.gigabits.map { "\($0) Gb/s" } ?? "free", time(row.stepSeconds),
        time(row.aloneSeconds), "\(row.sent)", row.sent == row.formula ? "the same" : "\(row.formula)",
        row.gigabits == nil ? "" : time(row.wireSeconds), time(row.waitedSeconds), time(row.takenSeconds),
        row.gigabits == nil ? "" : time(row.shownSeconds), row.gigabits == nil ? "" : time(row.longerSeconds),
        percent(row.hidden), percent(row.allowed), row.isReached.map { $0 ? "reached" : "missed" } ?? "",
      ])
    }
    for line in table.lines { try context.output.line(line) }
  }
}
