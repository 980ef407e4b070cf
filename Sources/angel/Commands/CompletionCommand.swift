/// `angel completion SHELL`: a completion script made from the commands' own tables.
enum CompletionCommand: Command {
  static let name = "completion"
  static let summary = "print a completion script for bash, zsh or fish"
  static let positionals = [
    Positional(name: "SHELL", choices: ["bash", "zsh", "fish"], help: "the shell that will read the script")
  ]
  static let details = """
    bash: angel completion bash > ~/.local/share/bash-completion/completions/angel
    zsh:  angel completion zsh > _angel, in a folder of $fpath
    fish: angel completion fish > ~/.config/fish/completions/angel.fish
    """
  static let examples = ["completion bash"]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let script =
      switch arguments.positional(0) {
      case "zsh": CompletionScript.zsh(CommandCatalog.all)
      case "fish": CompletionScript.fish(CommandCatalog.all)
      default: CompletionScript.bash(CommandCatalog.all)
      }
    try context.output.write(script)
  }
}
