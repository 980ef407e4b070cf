/// The commands in the order the help shows them.
enum CommandCatalog {
  static let all: [any Command.Type] = [
    PullCommand.self,
    ModelsCommand.self,
    CompletionCommand.self,
    HelpCommand.self,
  ]
}
