import AngelCore
import AngelMemory
import AngelPTM

/// A training run as people and programs see it: a progress bar with loss, rate and time left, lines for what happens.
final class TrainingView {
  private let recipe: TrainingRecipe
  private let context: CommandContext
  private var bar: ProgressDisplay?
  private var lastLine = 0.0
  /// Bytes of the process as planned, once there is a plan.
  private var planned: Int?
  /// When the first step was seen, and which it was.
  private var start: (time: Double, step: Int)?

  init(_ recipe: TrainingRecipe, _ context: CommandContext) {
    self.recipe = recipe
    self.context = context
  }

  /// Everything a run would do, without doing it.
  func showPlan(_ run: TrainingRun) throws {
    let peak = try run.measurePeak()
    let seconds = run.plan.seconds(peakGigaflops: peak, share: Self.expectedShare)
    if context.printsJSON {
      return try context.print([
        "recipe": recipe.json, "plan": run.plan.json, "program_bytes": .integer(ProcessMemory.now()),
        "data": run.statistics.json, "peak_gflops": .number(peak),
        "expected_seconds": .number(seconds),
      ])
    }
    try context.output.write(recipe.yaml + "\n")
    try show(.plan(run.plan, run.statistics))
    try line(
      "expected time: \(TextFormat.duration(seconds: seconds)) at \(Int(100 * Self.expectedShare)) % of the "
        + "\(TextFormat.fixed(peak, digits: 0)) GFLOP/s that a product of matrices reaches here")
  }

  /// The share of the peak that runs are expected to reach.
  private static let expectedShare = 0.6

  func show(_ event: RunEvent) throws {
    guard !context.printsJSON else {
      guard case .finished = event, var object = event.json.object else { return try context.print(event.json) }
      object["peak_bytes"] = .integer(ProcessMemory.peak())
      return try context.print(.object(object))
    }
    switch event {
    case .plan(let plan, let data): try showPlan(plan, data)
    case .resumed(let step, let path): try line("resumed from step \(step) (\(path))")
    case .step(let record, let count): try showStep(record, of: count)
    case .validation(let step, let loss): try line("step \(step): validation loss \(TextFormat.fixed(loss, digits: 4))")
    case .task(let step, let name, let loss):
      try line("step \(step):   \(name) \(TextFormat.fixed(loss, digits: 4))")
    case .sample(let step, let prompt, let text): try line("step \(step): \(prompt)│\(text)")
    case .checkpoint(let step, let path): try line("step \(step): checkpoint \(path)")
    case .finished(let path):
      end()
      let plan = planned.map { ", \(TextFormat.bytes($0)) planned" } ?? ""
      try line("finished: \(path) (\(TextFormat.bytes(ProcessMemory.peak())) of memory at its peak\(plan))")
    }
  }

  /// Leaves the bar, before an error or the shell's prompt.
  func end() {
    bar?.finish()
    bar = nil
  }

  private func showPlan(_ plan: RunPlan, _ data: TrainingData.Statistics) throws {
    var table = Table([("the run", .left), ("", .right), ("", .left)])
    table.append(["parameters", TextFormat.parameters(plan.parameterCount), ""])
    table.append(["  trained", TextFormat.parameters(plan.trainedParameterCount), ""])
    table.append(["rows of data", TextFormat.count(data.rows), data.layout.map { "layout: \($0.rawValue)" } ?? ""])
    table.append([
      "tokens", TextFormat.count(data.tokens),
      "\(TextFormat.count(data.trainedTokens)) trained, \(data.truncatedRows) rows cut, \(data.droppedRows) left out",
    ])
    if data.splitRows > 0 {
      table.append(["rows split", TextFormat.count(data.splitRows), "the chat template rewrites earlier turns"])
    }
    table.append(["steps", TextFormat.count(plan.steps), "of \(TextFormat.count(plan.rowsPerStep)) tokens at most"])
    let (memory, program) = (plan.memory, ProcessMemory.now())
    planned = memory.total + program
    for (kind, bytes, detail) in [
      ("frozen weights", memory.frozenWeights, ""), ("trained weights", memory.trainedWeights, "float32"),
      ("gradients", memory.gradients, "float32"),
      ("optimizer states", memory.optimizerStates, recipe.optimizer.rule.rawValue),
      ("activations", memory.activations, "of a batch, at their peak"),
      ("part-empty pages", memory.partEmptyPages, "\(TextFormat.bytes(memory.total)) in pages, all of these together"),
      ("program and data", program, "as it is now"), ("memory", memory.total + program, "of the process, at its peak"),
    ] where bytes > 0 {
      table.append([kind, TextFormat.bytes(bytes), detail])
    }
    for line in table.lines { try context.output.line(line) }
  }

  private func showStep(_ record: StepRecord, of count: Int) throws {
    if record.isSkipped {
      let place = record.culprit.map { " (first \($0))" } ?? ""
      try line("step \(record.step): skipped, because \(record.notFiniteName) is not finite\(place)")
    }
    var label =
      "loss \(TextFormat.fixed(record.loss, digits: 4))  norm \(TextFormat.fixed(record.gradientNorm, digits: 2))"
      + "  \(TextFormat.fixed(record.tokensPerSecond, digits: 0)) tokens/s"
    if let share = record.peakShare { label += "  \(TextFormat.fixed(100 * share, digits: 0)) % of peak" }
    if context.diagnostics.isTerminal {
      let bar = bar ?? context.progress.start(label, total: count, unit: .items("steps"), from: record.step - 1)
      self.bar = bar
      return bar.update(to: record.step, label: label)
    }
    // A line every few seconds where nobody watches a bar, and always the first and the last.
    let now = MonotonicClock.seconds()
    let begin = start ?? (now, record.step)
    start = begin
    guard now - lastLine > 5 || record.step == count || record.step == begin.step else { return }
    lastLine = now
    if record.step > begin.step {
      let left = (now - begin.time) / Double(record.step - begin.step) * Double(count - record.step)
      label += "  \(TextFormat.duration(seconds: left)) left"
    }
    try line("step \(record.step) of \(count): \(label)")
  }

  private func line(_ text: String) throws {
    end()
    try context.output.line(text)
  }
}
