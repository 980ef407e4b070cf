import AngelCore
import AngelPTM

/// A training run as people and programs see it: a progress bar with loss, rate and time left, lines for what happens.
final class TrainingView {
  private let recipe: TrainingRecipe
  private let context: CommandContext
  private var bar: ProgressDisplay?
  private var lastLine = 0.0

  init(_ recipe: TrainingRecipe, _ context: CommandContext) {
    self.recipe = recipe
    self.context = context
  }

  /// Everything a run would do, without doing it.
  func showPlan(_ run: TrainingRun) throws {
    if context.printsJSON {
      return try context.print(
        ["recipe": recipe.json, "plan": run.plan.json, "data": run.statistics.json])
    }
    try context.output.write(recipe.yaml + "\n")
    try show(.plan(run.plan, run.statistics))
  }

  func show(_ event: RunEvent) throws {
    if context.printsJSON { return try context.print(event.json) }
    switch event {
    case .plan(let plan, let data): try showPlan(plan, data)
    case .resumed(let step, let path): try line("resumed from step \(step) (\(path))")
    case .step(let record, let count): try showStep(record, of: count)
    case .validation(let step, let loss): try line("step \(step): validation loss \(TextFormat.fixed(loss, digits: 4))")
    case .sample(let step, let prompt, let text): try line("step \(step): \(prompt)│\(text)")
    case .checkpoint(let step, let path): try line("step \(step): checkpoint \(path)")
    case .finished(let path):
      end()
      try line("finished: \(path)")
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
    table.append(["steps", TextFormat.count(plan.steps), "of \(TextFormat.count(plan.rowsPerStep)) tokens at most"])
    if plan.frozenBytes > 0 { table.append(["frozen weights", TextFormat.bytes(plan.frozenBytes), ""]) }
    table.append(["trained weights", TextFormat.bytes(plan.weightBytes), ""])
    table.append(["gradients", TextFormat.bytes(plan.gradientBytes), ""])
    table.append(["optimizer states", TextFormat.bytes(plan.optimizerBytes), ""])
    for line in table.lines { try context.output.line(line) }
  }

  private func showStep(_ record: StepRecord, of count: Int) throws {
    if record.isSkipped { try line("step \(record.step): skipped, because a number was not finite") }
    let label =
      "loss \(TextFormat.fixed(record.loss, digits: 4))  norm \(TextFormat.fixed(record.gradientNorm, digits: 2))"
      + "  \(TextFormat.fixed(record.tokensPerSecond, digits: 0)) tokens/s"
    if context.diagnostics.isTerminal {
      let bar = bar ?? context.progress.start(label, total: count, unit: .items("steps"), from: record.step - 1)
      self.bar = bar
      bar.update(to: record.step, label: label)
      return
    }
    // A line every few seconds where nobody watches a bar, and always the first and the last.
    let now = MonotonicClock.seconds()
    guard now - lastLine > 5 || record.step == count || record.step == 1 else { return }
    lastLine = now
    try line("step \(record.step) of \(count): \(label)  rate \(record.learningRate)")
  }

  private func line(_ text: String) throws {
    end()
    try context.output.line(text)
  }
}

extension RunEvent {
  /// The event as a line of JSON.
  var json: JSONValue {
    switch self {
    case .plan(let plan, let data): ["event": "plan", "plan": plan.json, "data": data.json]
    case .resumed(let step, let path): ["event": "resumed", "step": .integer(step), "path": .string(path)]
    case .step(let record, _): record.json
    case .validation(let step, let loss): ["step": .integer(step), "validation_loss": .number(loss)]
    case .sample(let step, let prompt, let text):
      ["event": "sample", "step": .integer(step), "prompt": .string(prompt), "text": .string(text)]
    case .checkpoint(let step, let path): ["event": "checkpoint", "step": .integer(step), "path": .string(path)]
    case .finished(let path): ["event": "finished", "path": .string(path)]
    }
  }
}
