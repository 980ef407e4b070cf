/// The commands in the order the help shows them.
enum CommandCatalog {
  static let all: [any Command.Type] = [
    QuickstartCommand.self,
    PullCommand.self,
    ModelsCommand.self,
    GenerateCommand.self,
    ChatCommand.self,
    EmbedCommand.self,
    TokenizeCommand.self,
    LogitsCommand.self,
    PerplexityCommand.self,
    QuantizeCommand.self,
    DataCommand.self,
    TrainCommand.self,
    SubmitCommand.self,
    DoctorCommand.self,
    ServeCommand.self,
    KeysCommand.self,
    BenchCommand.self,
    CompletionCommand.self,
    HelpCommand.self,
  ]
}
