import AngelCore
import AngelHCF
import AngelText

/// `angel generate MODEL [PROMPT]`: continues a text, or answers it with `--chat`.
enum GenerateCommand: Command {
  static let name = "generate"
  static let summary = "continue a prompt, streaming the text"
  static let details = """
    Takes the likeliest token each time unless --temperature is given. Ctrl-C stops the answer and exits with 130.
    With --json: {"text":…,"tokens":[…],"finish_reason":"stop"|"length"|"interrupted","prompt_tokens":…,
    "time_to_first_token":…,"tokens_per_second":…,"seed":…}, and "logprobs" where asked for; "speculation":
    {"steps":…,"guessed":…,"accepted":…} says what came of guesses.

    `mpirun -n 2 angel generate MODEL …` runs a model with a part of every layer on each process: heads and inner features are
    shared out, so their number must divide the model's key-value heads (Documentation/Parallelism.md).
    """
  static let positionals = [
    Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file"),
    Positional(
      name: "PROMPT", isRequired: false, help: "the text (default: standard input, without its last line end)"),
  ]
  static let tokens = Option<[Int]>.integers("tokens", in: 0...Int(Int32.max), help: "token ids instead of PROMPT")
  static let chat = Option<Bool>.flag("chat", help: "treat PROMPT as a user's message: apply the model's chat template")
  static let system = Option<String?>.text("system", placeholder: "TEXT", help: "with --chat: the system message")
  static let options =
    [tokens.declaration, chat.declaration, system.declaration] + SamplingOptions.all + ConstraintOptions.all
    + [SpeculationOptions.option.declaration] + SessionOptions.all
  static let examples = [
    "generate smollm2 \"Once upon a time\" --max-tokens 60",
    "generate smollm2 --chat \"What is gravity?\" --temperature 0.7 --seed 1",
    "generate smollm2 --chat \"When was Ada born?\" --regex \"1[0-9]{3}\"",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(0, "MODEL", name)
    var sampling = try SamplingOptions.parameters(arguments, of: name, context)
    let format = try ConstraintOptions.format(arguments, of: name)
    try check(arguments)
    try context.interruption.deferred {
      let peers = try context.joinPeers()
      let context = context.speaking(peers)
      // Of several processes only the first has standard input.
      let text = try arguments.has(tokens) || peers?.isFirst == false ? nil : promptText(arguments, context)
      let backend = try context.makeBackend(arguments)
      let session = try context.openSession(model, arguments, among: peers, on: backend)
      session.generator.speculation = try SpeculationOptions.speculation(
        arguments, session, among: peers, on: backend, of: name, context)
      var prompt = try promptTokens(text, arguments, session)
      if let peers {
        prompt = try peers.agreed(prompt)
        sampling.seed = try peers.agreed(sampling.seed ?? Int.random(in: 0..<1 << 53))
      }
      let result = try session.generator.generate(
        from: prompt, in: session.engine.makeSequence(), sampling: sampling,
        constraint: format.map { try session.constraints.constraint(for: $0) },
        emit: { if !context.printsJSON { try context.output.write($0) } })
      if context.printsJSON {
        try context.print(.object(result.json(session.tokenizer)))
      } else if result.finishReason != .interrupted {
        try context.output.line()
      }
      try peers?.leave()
      if result.finishReason == .interrupted { throw AnswerInterrupted() }
    }
  }

  private static func check(_ arguments: Arguments) throws {
    func refuse(_ message: String) -> UsageError { UsageError(message, command: name) }
    if arguments.has(tokens) {
      if arguments.positional(1) != nil { throw refuse("give either PROMPT or --tokens, not both") }
      if arguments[chat] { throw refuse("--chat needs a text, not --tokens") }
    }
    if arguments.has(system), !arguments[chat] { throw refuse("--system needs --chat") }
  }

  /// PROMPT, or all of standard input without the line end that `echo` and editors put last.
  private static func promptText(_ arguments: Arguments, _ context: CommandContext) throws -> String {
    if let prompt = arguments.positional(1) { return prompt }
    if context.input.isTerminal { context.diagnostics.attempt("Type the prompt, then Ctrl-D on a line of its own.\n") }
    var bytes = try context.input.readAll(interruption: context.interruption)
    if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func promptTokens(
    _ text: String?, _ arguments: Arguments, _ session: LanguageModelSession
  ) throws -> [Int32] {
    // Nothing where the first of several processes has the text.
    guard let text else { return arguments[tokens].map { Int32($0) } }
    guard arguments[chat] else { return try session.promptTokens(for: text) }
    let messages = arguments[system].map { [ChatMessage(role: "system", $0)] } ?? []
    return try session.promptTokens(for: messages + [ChatMessage(role: "user", text)])
  }
}

extension GenerationResult {
  /// The result as the command line's contract has it.
  func json(_ tokenizer: Tokenizer) -> JSONObject {
    var object = JSONObject([
      ("text", .string(text)), ("tokens", .array(tokens.map { .integer(Int($0)) })),
      ("finish_reason", .string(finishReason.rawValue)), ("prompt_tokens", .integer(promptTokenCount)),
      ("cached_tokens", .integer(cachedTokenCount)),
      ("time_to_first_token", .number(timeToFirstToken)), ("tokens_per_second", .number(tokensPerSecond)),
      ("seed", .integer(seed)),
    ])
    if let speculation {
      object["speculation"] = [
        "steps": .integer(speculation.steps), "guessed": .integer(speculation.guessed),
        "accepted": .integer(speculation.accepted),
      ]
    }
    if !logProbabilities.isEmpty {
      object["logprobs"] = .array(logProbabilities.map { $0.json(tokenizer) })
    }
    return object
  }
}

extension SampledToken {
  fileprivate func json(_ tokenizer: Tokenizer) -> JSONValue {
    func entry(_ token: Int, _ logProbability: Float?) -> JSONObject {
      let bytes = (try? tokenizer.bytes(of: Int32(token))).map { Array($0) } ?? []
      return JSONObject([
        ("token", .integer(token)), ("text", .string(String(decoding: bytes, as: UTF8.self))),
        ("bytes", .array(bytes.map { .integer(Int($0)) })),
        ("logprob", logProbability.map { .number(Double($0)) } ?? .null),
      ])
    }
    var object = entry(token, logProbability)
    object["top"] = .array(top.map { .object(entry($0.token, $0.logProbability)) })
    return .object(object)
  }
}
