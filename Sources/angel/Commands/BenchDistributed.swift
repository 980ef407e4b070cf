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

  /// One layout on links of one rate.
  private struct Row {
    let zero: Int
    /// Nil: as fast as it goes.
    let gigabits: Int?
    let stepSeconds: Double
    /// Of a step without others.
    let aloneSeconds: Double
    /// Bytes of a step that all processes send, of gradients and parameters, and what the formula says.
    let sent: Int
    let formula: Int
    /// Of one process.
    let wireSeconds: Double

    /// The share of the wire's time that did not lengthen the step.
    var hidden: Double { max(0, min(1, 1 - (stepSeconds - aloneSeconds) / max(wireSeconds, 1e-9))) }

    /// What could be hidden at most: gradients behind the backward pass, two thirds of a step; parameters gathered after the
    /// update behind nothing.
    var possible: Double {
      let gradients = zero == 0 ? 1.0 : zero == 3 ? 1 / 3 : 0.5
      return min(gradients, aloneSeconds * 2 / 3 / max(wireSeconds, 1e-9))
    }
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
    try showAllReduce(group, kind, context)
    var rows: [Row] = []
    let rates: [Int?] = [nil] + arguments[gigabits].map { $0 }
    let display = context.progress.start("measuring", total: 2 + 4 * rates.count, unit: .items("layouts"))
    // The last level runs layers twice, which one process by itself is then asked to do, too.
    let alone = try [0, 3].map { level in
      let seconds = try seconds(nil, level, arguments, context, backend).seconds
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

  /// Bytes a second of sums of buffers: each process's buffer by the time of the call.
  private static func showAllReduce(_ group: any ProcessGroup, _ kind: String, _ context: CommandContext) throws {
    var table = Table([("all-reduce", .right), ("time", .right), ("buffer by time", .right)])
    for byteCount in [4 << 10, 64 << 10, 1 << 20, 4 << 20, 64 << 20] {
      var times: [Double] = []
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
      defer { buffer.deallocate() }
      _ = buffer.initializeMemory(as: Float.self, repeating: 1)
      for _ in 0..<12 {
        try group.barrier("the bench")
        let begin = MonotonicClock.seconds()
        try group.allReduce(buffer, .float32, "the bench")
        times.append(MonotonicClock.seconds() - begin)
      }
      let best = times.min() ?? 0
      if context.printsJSON {
        try context.print([
          "bench": "all-reduce", "processes": .integer(group.size), "kind": .string(kind), "bytes": .integer(byteCount),
          "best_seconds": .number(best), "median_seconds": .number(times.median),
        ])
      }
      table.append([
        TextFormat.bytes(byteCount), "\(TextFormat.fixed(best * 1e3, digits: 3)) ms",
        "\(TextFormat.fixed(Double(byteCount) / best / 1e9, digits: 2)) GB/s",
      ])
    }
    guard !context.printsJSON else { return }
    try context.output.line("\(group.size) \(kind), sums of float32 by rank, the best of 12")
    for line in table.lines { try context.output.line(line) }
    try context.output.line()
  }

  private static func row(
    _ group: any ProcessGroup, _ zero: Int, _ rate: Int?, _ alone: Double, _ arguments: Arguments,
    _ context: CommandContext, _ backend: CPUBackend
  ) throws -> Row {
    let link = Link(group, bitsPerSecond: rate.map { Double($0) * 1e9 })
    let measured = try seconds(link, zero, arguments, context, backend)
    let bytes = try group.gathered([Double(measured.bytes)], "the bench").reduce(0) { $0 + $1[0] }
    let wire = Double(8 * measured.bytes) / (rate.map { Double($0) * 1e9 } ?? .infinity)
    return Row(
      zero: zero, gigabits: rate, stepSeconds: measured.seconds, aloneSeconds: alone, sent: Int(bytes),
      formula: measured.formula, wireSeconds: wire)
  }

  /// The median seconds of a step, the bytes of gradients and parameters that this process sends in one, and what all send by
  /// the formula.
  private static func seconds(
    _ link: Link?, _ zero: Int, _ arguments: Arguments, _ context: CommandContext, _ backend: CPUBackend
  ) throws -> (seconds: Double, bytes: Int, formula: Int) {
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
    let trainer: Trainer
    if let link {
      var mesh = MeshConfiguration()
      (mesh.data, mesh.zero) = (size, zero)
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
    let steps = arguments[BenchTraining.steps]
    let times = try (0..<steps).map { _ in try trainer.takeStep().seconds }
    let count = link?.meter.total { $0.hasSuffix("of gradients") || $0.hasSuffix("of parameters") } ?? Meter.Count()
    return (times.median, count.bytes / steps, formula(model, size, zero))
  }

  private static func fill(_ model: some LanguageModel, _ context: CommandContext, _ backend: CPUBackend) {
    model.compute(in: context.precision == .f32 ? .float32 : .bfloat16)
    InitialValues.fill(
      model, seed: 0, layerCount: model.configuration.cacheGeometry.layerCount, on: backend)
  }

  /// Bytes that all D processes together send in a step of one pass, of parameters of Ψ bytes in float32: gradients are scattered
  /// and gathered or parameters gathered, (D - 1) Ψ each; with parted parameters what products read is gathered forward and
  /// backward instead.
  private static func formula(_ model: some LanguageModel, _ size: Int, _ zero: Int) -> Int {
    let parameters = model.trainedParameters
    let whole = parameters.reduce(0) { $0 + 4 * $1.parameter.shape.elementCount }
    guard zero == 3 else { return 2 * (size - 1) * whole }
    let read = parameters.reduce(0) { sum, entry in
      let isHalf = entry.parameter.computing == .bfloat16 && entry.parameter.role == .matrix
      // Layers run twice; a tied embedding is looked up and is the output head; the last norm is asked for once.
      let times = entry.path.hasPrefix("blocks.") || entry.path.hasPrefix("embedding.") ? 2 : 1
      return sum + (isHalf ? 2 : 4) * times * entry.parameter.shape.elementCount
    }
    return (size - 1) * (whole + read)
  }

  private static func show(_ rows: [Row], _ size: Int, _ context: CommandContext) throws {
    if context.printsJSON {
      for row in rows {
        try context.print([
          "bench": "layout", "processes": .integer(size), "zero": .integer(row.zero),
          "gigabits": row.gigabits.map { .integer($0) } ?? .null, "step_seconds": .number(row.stepSeconds),
          "alone_seconds": .number(row.aloneSeconds), "bytes": .integer(row.sent), "formula": .integer(row.formula),
          "wire_seconds": .number(row.wireSeconds), "hidden": .number(row.hidden), "possible": .number(row.possible),
        ])
      }
      return
    }
    var table = Table([
      ("layout", .left), ("link", .right), ("step", .right), ("alone", .right), ("sent by all", .right),
      ("formula", .right), ("wire", .right), ("hidden", .right), ("possible", .right),
    ])
    for row in rows {
      func percent(_ share: Double) -> String { row.gigabits == nil ? "" : "\(Int((100 * share).rounded())) %" }
      table.append([
        "data=\(size) zero=\(row.zero)", row.gigabits.map { "\($0) Gb/s" } ?? "free",
        "\(TextFormat.fixed(row.stepSeconds, digits: 3)) s", "\(TextFormat.fixed(row.aloneSeconds, digits: 3)) s",
        "\(row.sent)", row.sent == row.formula ? "the same" : "\(row.formula)",
        row.gigabits == nil ? "" : "\(TextFormat.fixed(row.wireSeconds, digits: 3)) s", percent(row.hidden),
        percent(row.possible),
      ])
    }
    for line in table.lines { try context.output.line(line) }
  }
}
