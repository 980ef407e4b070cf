import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelText

/// `angel chat MODEL`: a conversation on the terminal.
enum ChatCommand: Command {
  static let name = "chat"
  static let summary = "talk to a model; the conversation stays cached between turns"
  static let details = """
    Commands while chatting: /system TEXT sets the system message, /reset forgets the conversation, /save FILE writes it \
    as JSON lines, /quit (or the end of input) leaves. Ctrl-C stops an answer, not the program.
    """
  static let positionals = [Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file")]
  static let system = Option<String?>.text("system", placeholder: "TEXT", help: "the system message")
  static let options = [system.declaration] + SamplingOptions.all + SessionOptions.all
  static let examples = ["chat smollm2", "chat smollm2 --system \"Answer in one sentence.\" --temperature 0.7"]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(0, "MODEL", name)
    let sampling = try SamplingOptions.parameters(arguments)
    try context.interruption.deferred {
      let session = try context.openSession(model, arguments)
      guard session.chatTemplate != nil else { throw SessionError.noChatTemplate(path: session.checkpoint.path) }
      let chat = ChatSession(session)
      chat.setSystemMessage(arguments[system])
      context.diagnostics.attempt("Type a message; /system, /reset, /save FILE and /quit are commands.\n")
      while true {
        context.diagnostics.attempt("> ")
        switch readTurn(context) {
        case .end: return
        case .nothing: continue
        case .text(let text):
          guard try answer(text, chat, sampling, context) else { return }
        }
      }
    }
  }

  private enum Turn { case text(String), nothing, end }

  /// One line of input; Ctrl-C at the prompt drops the line and asks again.
  private static func readTurn(_ context: CommandContext) -> Turn {
    guard let line = readLine() else {
      guard context.interruption.isRequested else { return .end }
      context.interruption.clear()
      context.diagnostics.attempt("\n")
      return .nothing
    }
    return line.allSatisfy(\.isWhitespace) ? .nothing : .text(line)
  }

  /// Handles one turn; false when the user leaves.
  private static func answer(
    _ text: String, _ chat: ChatSession, _ sampling: SamplingParameters, _ context: CommandContext
  ) throws -> Bool {
    let words = text.split(separator: " ", maxSplits: 1)
    let argument = words.count > 1 ? String(words[1]) : nil
    switch words.first {
    case "/quit", "/exit": return false
    case "/reset":
      chat.reset()
      context.diagnostics.attempt("conversation forgotten\n")
    case "/system":
      chat.setSystemMessage(argument)
      context.diagnostics.attempt(argument == nil ? "system message removed\n" : "system message set\n")
    case "/save": try save(chat, to: argument, context)
    case let command? where command.hasPrefix("/"):
      context.diagnostics.attempt("unknown command '\(command)': /system, /reset, /save FILE, /quit\n")
    default: try respond(to: text, chat, sampling, context)
    }
    return true
  }

  private static func respond(
    to text: String, _ chat: ChatSession, _ sampling: SamplingParameters, _ context: CommandContext
  ) throws {
    do {
      let result = try chat.respond(to: text, sampling: sampling) {
        if !context.printsJSON { try context.output.write($0) }
      }
      context.interruption.clear()
      if context.printsJSON {
        try context.print([
          "role": "assistant", "content": .string(result.text), "finish_reason": .string(result.finishReason.rawValue),
          "prompt_tokens": .integer(result.promptTokenCount), "cached_tokens": .integer(chat.cachedTokenCount),
          "time_to_first_token": .number(result.timeToFirstToken),
          "tokens_per_second": .number(result.tokensPerSecond),
        ])
      } else {
        try context.output.line(result.finishReason == .interrupted ? " [stopped]" : "")
      }
    } catch let error as EngineError {
      // Too long a conversation is the user's to mend; the program goes on.
      context.diagnostics.attempt("error: \(error) (/reset starts over)\n")
    }
  }

  private static func save(_ chat: ChatSession, to path: String?, _ context: CommandContext) throws {
    guard let path else { return context.diagnostics.attempt("/save needs a file name\n") }
    let text = chat.messages.map { $0.json.encoded() + "\n" }.joined()
    do {
      let file = try AtomicFile(path: path, expectedBytes: text.utf8.count)
      try file.write(text.utf8)
      try file.commit()
      context.diagnostics.attempt("saved \(chat.messages.count) messages to \(path)\n")
    } catch {
      context.diagnostics.attempt("error: \(error)\n")
    }
  }
}
