import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelText

/// `angel chat MODEL`: a conversation on the terminal.
enum ChatCommand: Command {
  static let name = "chat"
  static let summary = "talk to a model; the conversation stays cached between turns"
  static let details = """
    Each line is a message. Ctrl-C stops an answer, not the program; Ctrl-D leaves. While chatting:
      /system TEXT  set the system message; without TEXT remove it
      /reset        forget the conversation
      /save FILE    write the conversation as JSON lines
      /quit         leave
    With --json each turn gives one object on standard output.
    """
  static let positionals = [Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file")]
  static let system = Option<String?>.text("system", placeholder: "TEXT", help: "the system message")
  static let options =
    [system.declaration] + SamplingOptions.all + [SpeculationOptions.option.declaration] + SessionOptions.all
  static let examples = [
    "chat smollm2", "chat smollm2 --adapter runs/lora/adapter",
    "chat smollm2 --system \"Answer in one sentence.\" --temperature 0.7",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(0, "MODEL", name)
    let sampling = try SamplingOptions.parameters(arguments, of: name, context)
    try context.interruption.deferred {
      let backend = try context.makeBackend(arguments)
      let session = try context.openSession(model, arguments, on: backend)
      session.generator.speculation = try SpeculationOptions.speculation(
        arguments, session, on: backend, of: name, context)
      guard session.chatTemplate != nil else { throw SessionError.noChatTemplate(path: session.checkpoint.path) }
      let conversation = Conversation(ChatSession(session), session, sampling, context)
      conversation.chat.setSystemMessage(arguments[system])
      try conversation.run()
    }
  }
}

/// The loop of turns.
private struct Conversation {
  let chat: ChatSession
  private let session: LanguageModelSession
  private let sampling: SamplingParameters
  private let context: CommandContext
  /// Whether a person types, and errors of a turn are theirs to mend.
  private let isInteractive: Bool

  init(
    _ chat: ChatSession, _ session: LanguageModelSession, _ sampling: SamplingParameters, _ context: CommandContext
  ) {
    self.chat = chat
    self.session = session
    self.sampling = sampling
    self.context = context
    isInteractive = context.input.isTerminal
  }

  func run() throws {
    remark("Type a message; /help shows the commands, Ctrl-D leaves.\n")
    while true {
      remark("> ")
      do {
        guard let line = try context.input.nextLine(interruption: context.interruption) else { return remark("\n") }
        guard try turn(line) else { return }
      } catch is Interrupted where !context.interruption.isForGood {
        // Ctrl-C at the prompt drops the line.
        context.interruption.clear()
        remark("\n(Ctrl-D or /quit leaves)\n")
        if !isInteractive { throw Interrupted() }
      }
    }
  }

  /// Text for a person at the terminal only.
  private func remark(_ text: String) { if isInteractive { context.diagnostics.attempt(text) } }

  /// Handles one line; false when the user leaves.
  private func turn(_ line: String) throws -> Bool {
    let text = line.trimmed
    guard text.hasPrefix("/") else {
      if !text.isEmpty { try answer(line) }
      return true
    }
    let words = text.split(separator: " ", maxSplits: 1).map { String($0) }
    let argument = words.count > 1 ? words[1].trimmed : nil
    switch words[0] {
    case "/quit", "/exit": return false
    case "/reset":
      chat.reset()
      remark("conversation forgotten\n")
    case "/system":
      chat.setSystemMessage(argument)
      remark(argument == nil ? "system message removed\n" : "system message set\n")
    case "/save": try attempt { try save(to: argument) }
    case "/help": remark("/system TEXT, /reset, /save FILE, /quit; Ctrl-C stops an answer\n")
    default: try attempt { throw ChatError.unknownCommand(words[0]) }
    }
    return true
  }

  private func answer(_ text: String) throws {
    try attempt {
      let result = try chat.respond(to: text, sampling: sampling) {
        if !context.printsJSON { try context.output.write($0) }
      }
      if context.interruption.isForGood { throw Interrupted() }
      context.interruption.clear()
      if context.printsJSON {
        var object = JSONObject([("role", "assistant")])
        for member in result.json(session.tokenizer).members { object[member.key] = member.value }
        try context.print(.object(object))
      } else {
        try context.output.line(result.finishReason == .interrupted ? " [stopped]" : "")
        if result.finishReason == .length, result.tokens.count != sampling.maxTokens {
          remark("[the context of \(session.engine.contextLength) tokens is full: /reset starts over]\n")
        }
      }
    }
  }

  /// Shows a turn's error and goes on where a person can try again; otherwise the error ends the program.
  private func attempt(_ body: () throws -> Void) throws {
    do { try body() } catch let error as any DescribedError where isInteractive {
      if error is Interrupted || error is OutputFailed { throw error }
      let remedy = if case EngineError.noRoomForAnswer = error { " (/reset starts over)" } else { "" }
      context.diagnostics.attempt("error: \(error)\(remedy)\n")
    }
  }

  private func save(to path: String?) throws {
    guard let path else { throw ChatError.noFile }
    let home = context.environment.homeDirectory
    let place = path.hasPrefix("~/") ? (home ?? "~") + path.dropFirst() : path
    let text = chat.messages.map { $0.json.encoded() + "\n" }.joined()
    let file = try AtomicFile(path: place, expectedBytes: text.utf8.count)
    try file.write(text.utf8)
    try file.commit()
    remark("saved \(chat.messages.count) messages to \(place)\n")
  }
}

/// What is wrong with a line that is a command.
private enum ChatError: DescribedError {
  case unknownCommand(String)
  case noFile

  var description: String {
    switch self {
    case .unknownCommand(let command): "unknown command '\(command)': /system, /reset, /save FILE, /quit"
    case .noFile: "/save needs a file name"
    }
  }
}

extension String {
  /// Without white space at both ends.
  var trimmed: String {
    var text = self[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
