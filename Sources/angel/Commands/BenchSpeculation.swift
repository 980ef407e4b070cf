import AngelCore
import AngelHCF
import Glibc

/// `angel bench speculation`: answers with guesses beside the same answers without, in turns.
enum BenchSpeculation {
  /// What one workload gave.
  private struct Row {
    let workload: BenchWorkload
    let promptTokens: Int
    let tokens: Int
    /// Tokens per second after the first, without guesses and with: medians.
    let plain: Double
    let guessing: Double
    /// How many times as fast, turn by turn.
    let ratios: [Double]
    let figures: SpeculationFigures?

    var ratio: Double { ratios.median }
  }

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(1, "MODEL", BenchCommand.name)
    let backend = try context.makeBackend(arguments)
    let session = try context.openSession(model, arguments, contextLength: 1024, on: backend)
    guard
      let speculation = try SpeculationOptions.speculation(
        arguments, session, on: backend, of: BenchCommand.name, context)
    else {
      throw UsageError("--speculate off leaves nothing to measure", command: BenchCommand.name)
    }
    let turns = arguments[BenchInference.repetitions]
    let display = context.progress.start(
      "answers", total: BenchWorkload.all.count * (turns + 1), unit: .items("turns"))
    var rows: [Row] = []
    for (index, workload) in BenchWorkload.all.enumerated() {
      rows.append(
        try measure(workload, session, speculation, turns: turns) { turn in
          try context.interruption.check()
          display.update(to: index * (turns + 1) + turn)
        })
    }
    display.finish()
    try show(rows, model, context)
  }

  private static func measure(
    _ workload: BenchWorkload, _ session: LanguageModelSession, _ speculation: Speculation, turns: Int,
    beforeTurn: (Int) throws -> Void
  ) throws -> Row {
    let prompt = try workload.prompt(for: session)
    var generators = [session.generator, session.generator]
    (generators[0].speculation, generators[1].speculation) = (nil, speculation)
    func answer(_ generator: TextGenerator) throws -> GenerationResult {
      try generator.generate(from: prompt, in: session.engine.makeSequence(), sampling: workload.sampling) { _ in }
    }
    var results: [(plain: GenerationResult, guessing: GenerationResult)] = []
    // The first turn warms caches and records steps, and does not count.
    for turn in 0...turns {
      try beforeTurn(turn)
      // Each comes first in every other turn.
      let first = try answer(generators[turn % 2])
      let second = try answer(generators[1 - turn % 2])
      guard first.tokens == second.tokens else { throw GuessesChangedAnswer(workload: workload.name) }
      if turn > 0 { results.append(turn % 2 == 0 ? (first, second) : (second, first)) }
    }
    return Row(
      workload: workload, promptTokens: prompt.count, tokens: results[0].plain.tokens.count,
      plain: results.map(\.plain.tokensPerSecond).median, guessing: results.map(\.guessing.tokensPerSecond).median,
      ratios: results.map {
        $0.plain.tokensPerSecond > 0 ? $0.guessing.tokensPerSecond / $0.plain.tokensPerSecond : 1
      }, figures: results[results.count / 2].guessing.speculation)
  }

  private static func show(_ rows: [Row], _ model: String, _ context: CommandContext) throws {
    let worst = rows.map(\.ratio).min() ?? 1
    let mean = exp(rows.reduce(0) { $0 + log($1.ratio) } / Double(rows.count))
    if context.printsJSON {
      return try context.print([
        "model": .string(model), "worst_ratio": .number(worst), "mean_ratio": .number(mean),
        "rows": .array(rows.map(json)),
      ])
    }
    var table = Table([
      ("WORKLOAD", .left), ("PROMPT", .right), ("TOKENS", .right), ("PLAIN/S", .right), ("GUESSING/S", .right),
      ("RATIO", .right), ("RANGE", .right), ("GUESSED", .right), ("RIGHT", .right),
    ])
    func two(_ value: Double) -> String { TextFormat.fixed(value, digits: 2) }
    for row in rows {
      table.append([
        row.workload.name, "\(row.promptTokens)", "\(row.tokens)", TextFormat.fixed(row.plain, digits: 1),
        TextFormat.fixed(row.guessing, digits: 1), two(row.ratio),
        "\(two(row.ratios.min() ?? 1))-\(two(row.ratios.max() ?? 1))", "\(row.figures?.guessed ?? 0)",
        "\(row.figures?.accepted ?? 0)",
      ])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
    try context.output.line("worst \(two(worst))x, geometric mean \(two(mean))x; the answers are the same")
  }

  private static func json(_ row: Row) -> JSONValue {
    [
      "workload": .string(row.workload.name), "prompt_tokens": .integer(row.promptTokens),
      "tokens": .integer(row.tokens), "tokens_per_second": .number(row.plain),
      "guessing_tokens_per_second": .number(row.guessing), "ratio": .number(row.ratio),
      "ratios": .array(row.ratios.map { .number($0) }), "guessed": .integer(row.figures?.guessed ?? 0),
      "accepted": .integer(row.figures?.accepted ?? 0), "steps": .integer(row.figures?.steps ?? 0),
    ]
  }
}

/// What must never happen.
private struct GuessesChangedAnswer: DescribedError {
  let workload: String

  var description: String { "guesses changed the answer to '\(workload)': this is a fault of Angel, please report it" }
}
