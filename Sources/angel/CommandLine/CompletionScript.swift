import AngelCheckpoint

/// Completion scripts for the shells people use, made from the commands' tables.
enum CompletionScript {
  private static let storedModels = "(angel models list --names 2>/dev/null)"

  static func bash(_ commands: [any Command.Type]) -> String {
    var cases = ""
    for command in commands {
      let options = (command.options + GlobalOptions.all).map { "--\($0.name)" }.joined(separator: " ")
      cases += "    \(command.name)) options=\(quoted(options)); words=\"\(shellWords(of: command))\" ;;\n"
    }
    return """
      # bash completion for angel, made by: angel completion bash
      _angel() {
        local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" command= options= words= word
        COMPREPLY=()
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
          case "$word" in -*) ;; *) command="$word"; break ;; esac
        done
        case "$previous" in
      \(choiceCases(commands))  esac
        case "$command" in
          "") words=\(quoted(commands.map { $0.name }.joined(separator: " "))); options=\(quoted(globalNames)) ;;
      \(cases)  esac
        if [[ "$current" == -* ]]; then
          COMPREPLY=($(compgen -W "$options" -- "$current"))
        else
          COMPREPLY=($(compgen -W "$words" -- "$current"))
          [[ -n "$command" ]] && COMPREPLY+=($(compgen -f -- "$current"))
        fi
      }
      complete -o filenames -F _angel angel

      """
  }

  static func zsh(_ commands: [any Command.Type]) -> String {
    var cases = ""
    for command in commands {
      let specifications = (command.options + GlobalOptions.all).map(zshSpecification)
      cases += "    \(command.name)) _arguments \(specifications.joined(separator: " ")) "
      cases += "'*: :{ compadd -- \(shellWords(of: command)); _files }' ;;\n"
    }
    let list = commands.map { quoted("\($0.name):\($0.summary)") }.joined(separator: " ")
    return """
      #compdef angel
      # zsh completion for angel, made by: angel completion zsh
      _angel() {
        local -a commands=(\(list))
        if (( CURRENT == 2 )); then
          _describe command commands
          return
        fi
        local command="$words[2]"
        shift words
        (( CURRENT-- ))
        case "$command" in
      \(cases)  esac
      }
      _angel "$@"

      """
  }

  static func fish(_ commands: [any Command.Type]) -> String {
    var text = "# fish completion for angel, made by: angel completion fish\n"
    for command in commands {
      text += "complete -c angel -n __fish_use_subcommand -f -a \(command.name) -d \(quoted(command.summary))\n"
    }
    for option in GlobalOptions.all { text += "complete -c angel" + fishSpecification(option) }
    for command in commands {
      let condition = "complete -c angel -n '__fish_seen_subcommand_from \(command.name)'"
      for option in command.options { text += condition + fishSpecification(option) }
      let candidates = words(of: command)
      if !candidates.isEmpty { text += condition + " -a \"\(candidates)\"\n" }
    }
    return text
  }

  /// What may stand at a command's places: choices, and names found when the script runs.
  private static func words(of command: any Command.Type) -> String {
    command.positionals.flatMap { positional in
      switch positional.kind {
      case .text, .file: positional.choices
      case .model: positional.choices + [storedModels]
      case .builtInModel: BuiltInModels.all.map(\.name)
      case .command: CommandCatalog.all.map { $0.name }
      }
    }.joined(separator: " ")
  }

  /// The same with command substitutions as bash and zsh write them.
  private static func shellWords(of command: any Command.Type) -> String {
    words(of: command).replacing("(", with: "$(")
  }

  private static var globalNames: String { GlobalOptions.all.map { "--\($0.name)" }.joined(separator: " ") }

  /// After an option with choices only those are offered; after one with a file, files.
  private static func choiceCases(_ commands: [any Command.Type]) -> String {
    var seen: Set<String> = []
    var text = ""
    for option in commands.flatMap({ $0.options }) + GlobalOptions.all where seen.insert(option.name).inserted {
      guard option.placeholder != nil else { continue }
      let reply =
        option.choices.isEmpty
        ? "compgen -f -- \"$current\"" : "compgen -W \(quoted(option.choices.joined(separator: " "))) -- \"$current\""
      text += "    --\(option.name)) COMPREPLY=($(\(reply))); return ;;\n"
    }
    return text
  }

  private static func zshSpecification(_ option: OptionDeclaration) -> String {
    let help = option.help.replacing("[", with: "(").replacing("]", with: ")").replacing(":", with: " -")
    guard option.placeholder != nil else { return quoted("--\(option.name)[\(help)]") }
    let values = option.choices.isEmpty ? "_files" : "(\(option.choices.joined(separator: " ")))"
    return quoted((option.repeats ? "*" : "") + "--\(option.name)=[\(help)]:value:\(values)")
  }

  private static func fishSpecification(_ option: OptionDeclaration) -> String {
    let choices = option.choices.isEmpty ? "" : " -f -a \(quoted(option.choices.joined(separator: " ")))"
    return " -l \(option.name)\(option.placeholder == nil ? "" : " -r")\(choices) -d \(quoted(option.help))\n"
  }

  private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }
}

extension String {
  /// With every occurrence of `part` replaced.
  fileprivate func replacing(_ part: Character, with other: String) -> String {
    var result = ""
    for character in self { if character == part { result += other } else { result.append(character) } }
    return result
  }
}
