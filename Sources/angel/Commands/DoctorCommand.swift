import AngelCPU
import AngelCore
import AngelData
import AngelPTM
import AngelText

/// `angel doctor RECIPE`: what a loss curve does not show, found before the run.
enum DoctorCommand: Command {
  static let name = "doctor"
  static let summary = "check a training recipe, its model and its data before the run"
  static let details = """
    Encodes at most 256 rows of the recipe's data and lets its model take a few steps on four short ones, then says one line a
    check: passed, warning, failed or skipped, what was measured, and what to do. Checked are the vocabulary, the length of
    rows, whether the token that ends answers is learnt, memory at the largest batch, accumulation against one batch, whether
    packed rows see each other, gradients after a step, saving and resuming, experts' balance, and adapters merged. A sample
    of the rows shows learnt tokens in colour (in brackets where nobody watches). Exit code 1 when a check failed.
    """
  static let positionals = TrainCommand.positionals
  static let options = [SessionOptions.memory.declaration]
  static let examples = ["doctor Recipes/lora.yaml data.train=[rows.jsonl]", "doctor Recipes/sft.yaml --json"]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let recipe = try TrainCommand.recipe(arguments, context, name).0
    let backend = try context.makeBackend(arguments)
    let clock = ContinuousClock()
    let begin = clock.now
    let doctor = try context.interruption.deferred {
      try Doctor(
        recipe,
        TrainingRun.Surroundings(
          backend: backend, progress: context.progress, interruption: context.interruption,
          openModel: context.openCheckpoint, report: { _ in }), memoryBudget: backend.pool.budget)
    }
    if !context.printsJSON { try show(doctor.examples(), doctor.tokenizer, context) }
    let findings = try context.interruption.deferred {
      try doctor.examine { finding in
        if context.printsJSON { try context.print(finding.json) } else { try show(finding, context) }
      }
    }
    let failed = findings.count { $0.outcome == .failed }
    if !context.printsJSON {
      let seconds = TextFormat.fixed((clock.now - begin) / .seconds(1), digits: 1)
      let warnings = findings.count { $0.outcome == .warning }
      try context.output.line("\(findings.count) checks: \(warnings) with a warning, \(failed) failed; \(seconds) s")
    }
    if failed > 0 { throw DoctorFailure(count: failed) }
  }

  private static func show(_ finding: DoctorFinding, _ context: CommandContext) throws {
    let outcome = finding.outcome.rawValue
    let word = outcome + String(repeating: " ", count: max(0, 7 - outcome.count))
    let color =
      switch finding.outcome {
      case .passed: "32"
      case .warning: "33"
      case .failed: "31"
      case .skipped: "2"
      }
    let shown = context.output.isTerminal ? "\u{1B}[\(color)m\(word)\u{1B}[0m" : word
    let remedy = finding.remedy.map { ": " + $0 } ?? ""
    try context.output.line(
      "\(shown)  \(finding.check): \(finding.value)\(remedy)  (\(TextFormat.fixed(finding.seconds, digits: 1)) s)")
  }

  /// Rows as they are learnt: what has weight in colour, or in ⟦brackets⟧; at most 400 tokens of each.
  private static func show(_ samples: [TokenSample], _ tokenizer: Tokenizer, _ context: CommandContext) throws {
    let marks = context.output.isTerminal ? ("\u{1B}[32m", "\u{1B}[0m") : ("⟦", "⟧")
    for (index, sample) in samples.enumerated() {
      try context.output.line("row \(index + 1), learnt tokens in \(context.output.isTerminal ? "green" : "⟦⟧"):")
      var text = ""
      let limit = min(sample.count, 400)
      var start = 0
      while start < limit {
        let isTrained = sample.weights[start] != 0
        let end = (start..<limit).first { (sample.weights[$0] != 0) != isTrained } ?? limit
        let part = try tokenizer.decode(Array(sample.tokens[start..<end]), skippingSpecialTokens: false)
        text += isTrained ? marks.0 + part + marks.1 : part
        start = end
      }
      try context.output.line(text + (limit < sample.count ? " …" : "") + "\n")
    }
  }
}

/// Checks have failed; each has been shown.
struct DoctorFailure: DescribedError {
  let count: Int
  var description: String { "\(count) \(count == 1 ? "check has" : "checks have") failed; each line says what to do" }
}
