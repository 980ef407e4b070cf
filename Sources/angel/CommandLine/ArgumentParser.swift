import AngelCore

/// The user typed something the command line does not understand: exit code 2.
struct UsageError: DescribedError, Equatable {
  let message: String
  /// Whose help page would answer; nil for the whole program's.
  let command: String?

  init(_ message: String, command: String? = nil) {
    self.message = message
    self.command = command
  }

  var description: String { message + " (angel help" + (command.map { " " + $0 } ?? "") + ")" }
}

/// Turns words into a command and its checked arguments: a pure function of the tables.
struct ArgumentParser {
  let commands: [any Command.Type]

  /// What the words ask for.
  struct Invocation {
    let command: any Command.Type
    let arguments: Arguments
  }

  /// Parses the words after the program's name. Options may stand anywhere; after `--` everything is positional.
  func parse(_ words: [String]) throws(UsageError) -> Invocation {
    var command: (any Command.Type)?
    var arguments = Arguments()
    var position = 0
    var optionsEnded = false
    while position < words.count {
      let word = words[position]
      position += 1
      if !optionsEnded, word == "--" {
        optionsEnded = true
      } else if !optionsEnded, word.hasPrefix("-"), word != "-" {
        try parseOption(word, of: command, rest: words, &position, into: &arguments)
      } else if command == nil {
        command = try find(word)
      } else {
        arguments.positionals.append(word)
      }
    }
    let wantsHelp = arguments[GlobalOptions.help]
    if arguments[GlobalOptions.version] { return Invocation(command: VersionCommand.self, arguments: arguments) }
    guard let command, !wantsHelp else {
      arguments.positionals = command.map { [$0.name] } ?? []
      return Invocation(command: HelpCommand.self, arguments: arguments)
    }
    try check(arguments.positionals, of: command)
    return Invocation(command: command, arguments: arguments)
  }

  private func find(_ name: String) throws(UsageError) -> any Command.Type {
    if let command = commands.first(where: { $0.name == name }) { return command }
    throw UsageError("unknown command '\(name)'" + Suggestion.question(for: name, among: commands.map { $0.name }))
  }

  private func parseOption(
    _ word: String, of command: (any Command.Type)?, rest words: [String], _ position: inout Int,
    into arguments: inout Arguments
  ) throws(UsageError) {
    let spelled = word == "-h" ? "--help" : word
    let parts = spelled.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let options = (command?.options ?? []) + GlobalOptions.all
    let name = String(parts[0].drop { $0 == "-" })
    guard spelled.hasPrefix("--"), let option = options.first(where: { $0.name == name }) else {
      throw unknownOption(parts[0], name: name, options: options, command: command)
    }
    var value = parts.count == 2 ? parts[1] : nil
    if option.placeholder != nil {
      if value == nil, position < words.count {
        value = words[position]
        position += 1
      }
      guard let value else {
        throw UsageError("--\(name) needs a value: \(option.expects)", command: command?.name)
      }
      guard option.accepts(value) else {
        throw UsageError("--\(name) must be \(option.expects), not '\(value)'", command: command?.name)
      }
    } else if value != nil {
      throw UsageError("--\(name) takes no value", command: command?.name)
    }
    arguments.record(value ?? "", for: option)
  }

  private func unknownOption(
    _ word: String, name: String, options: [OptionDeclaration], command: (any Command.Type)?
  ) -> UsageError {
    let question = Suggestion.question(for: "--" + name, among: options.map { "--" + $0.name })
    if command == nil, commands.contains(where: { $0.options.contains { $0.name == name } }) {
      return UsageError("option '\(word)' must follow the command")
    }
    return UsageError(
      "unknown option '\(word)'" + (command.map { " of angel \($0.name)" } ?? "") + question, command: command?.name)
  }

  private func check(_ given: [String], of command: any Command.Type) throws(UsageError) {
    let positionals = command.positionals
    if let last = positionals.last, last.repeats {
      // Any number may follow.
    } else if given.count > positionals.count {
      // Forgotten quotes are the usual reason where the last place takes a text.
      let last = positionals.last.flatMap { $0.kind == .text && $0.choices.isEmpty ? $0.name : nil }
      throw UsageError(
        "unexpected argument '\(given[positionals.count])'" + (last.map { ": put \($0) in quotes" } ?? ""),
        command: command.name)
    }
    for (index, positional) in positionals.enumerated() {
      guard index < given.count else {
        if positional.isRequired { throw UsageError("\(positional.name) is missing", command: command.name) }
        continue
      }
      guard positional.choices.isEmpty || positional.choices.contains(given[index]) else {
        let question = Suggestion.question(for: given[index], among: positional.choices)
        throw UsageError(
          "\(positional.name) must be \(positional.choices.joined(separator: ", ")), not '\(given[index])'" + question,
          command: command.name)
      }
    }
  }
}
