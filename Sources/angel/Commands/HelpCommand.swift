import AngelCore

/// `angel help [COMMAND]`: pages made from the commands' own tables.
enum HelpCommand: Command {
  static let name = "help"
  static let summary = "show the commands, or one command's page"
  static let positionals = [
    Positional(name: "COMMAND", isRequired: false, kind: .command, help: "the command to explain")
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    guard let word = arguments.positional(0) else { return try show(overview, nil, context) }
    guard let command = CommandCatalog.all.first(where: { $0.name == word }) else {
      let question = Suggestion.question(for: word, among: CommandCatalog.all.map { $0.name })
      throw UsageError("unknown command '\(word)'" + question)
    }
    try show(page(of: command), command, context)
  }

  private static func show(_ text: String, _ command: (any Command.Type)?, _ context: CommandContext) throws {
    guard context.printsJSON else { return try context.output.write(text) }
    let commands = command.map { [$0] } ?? CommandCatalog.all
    try context.print([
      "commands": .array(commands.map(json)), "global_options": .array(GlobalOptions.all.map(json)),
      "version": .string(Angel.version),
    ])
  }

  static var overview: String {
    let width = CommandCatalog.all.map { $0.name.count }.max() ?? 0
    var text = "angel \(Angel.version): trains, serves and studies large models\n\n"
    text += "usage: angel COMMAND [ARGUMENTS] [OPTIONS]\n\ncommands:\n"
    for command in CommandCatalog.all { text += "  \(command.name.padded(to: width))  \(command.summary)\n" }
    text += "\noptions of every command:\n" + lines(of: GlobalOptions.all)
    text += "\nangel help COMMAND explains one command. MODEL is a name in the store, a folder or a file.\n"
    return text
  }

  static func page(of command: any Command.Type) -> String {
    var text = "angel \(command.name): \(command.summary)\n\nusage: \(command.usage)\n"
    if !command.details.isEmpty { text += "\n\(command.details)\n" }
    if !command.positionals.isEmpty {
      let width = command.positionals.map(\.name.count).max() ?? 0
      text += "\narguments:\n"
      for positional in command.positionals {
        let choices = positional.choices.isEmpty ? "" : " (\(positional.choices.joined(separator: ", ")))"
        text += "  \(positional.name.padded(to: width))  \(positional.help)\(choices)\n"
      }
    }
    if !command.options.isEmpty { text += "\noptions:\n" + lines(of: command.options) }
    text += "\noptions of every command:\n" + lines(of: GlobalOptions.all)
    if !command.examples.isEmpty {
      text += "\nexamples:\n" + command.examples.map { "  angel \($0)\n" }.joined()
    }
    return text
  }

  private static func lines(of options: [OptionDeclaration]) -> String {
    let width = min(28, options.map(\.usage.count).max() ?? 0)
    return options.map { option in
      let standard = option.defaultText.map { " (default: \($0))" } ?? ""
      let repeats = option.repeats ? " (may be repeated)" : ""
      // An option too long for the column has its text on the next line.
      let gap = option.usage.count > width ? "\n" + String(repeating: " ", count: width + 4) : "  "
      return "  \(option.usage.padded(to: width))\(gap)\(option.help)\(repeats)\(standard)\n"
    }.joined()
  }

  private static func json(_ command: any Command.Type) -> JSONValue {
    [
      "name": .string(command.name), "summary": .string(command.summary), "usage": .string(command.usage),
      "options": .array(command.options.map(json)),
    ]
  }

  private static func json(_ option: OptionDeclaration) -> JSONValue {
    [
      "name": .string(option.name), "value": option.placeholder.map { .string($0) } ?? .null,
      "default": option.defaultText.map { .string($0) } ?? .null, "help": .string(option.help),
    ]
  }
}

/// `angel --version`.
enum VersionCommand: Command {
  static let name = "version"
  static let summary = "show the version"

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    if context.printsJSON { return try context.print(["version": .string(Angel.version)]) }
    try context.output.line("angel \(Angel.version)")
  }
}
