import AngelCore
import AngelTesting
import Glibc
import Testing

@testable import angel

@Suite("The program")
struct ProgramTests {
  let folder: TemporaryFolder
  let program: ProgramRunner

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
  }

  private func run(_ words: String..., output: Int32? = nil) throws -> ProgramRunner.Outcome {
    try program.run(words, output: output)
  }

  @Test("help names every command, and each has a page with its options")
  func help() throws {
    let overview = try run("help")
    #expect(overview.code == .success && overview.errors.isEmpty)
    for command in CommandCatalog.all {
      #expect(overview.output.contains("  \(command.name) "))
      let page = try run("help", command.name)
      for option in command.options { #expect(page.output.contains("--\(option.name)")) }
      #expect(page.output.split(separator: "\n").allSatisfy { $0.count <= 130 })
      #expect(command.options.allSatisfy { !$0.help.isEmpty } && !command.summary.isEmpty)
    }
    #expect(Set(CommandCatalog.all.map { $0.name }).count == CommandCatalog.all.count)
  }

  @Test("a usage error is one line on standard error and exit code 2")
  func usage() throws {
    let result = try run("modles")
    #expect(result.code == .usage && result.output.isEmpty)
    #expect(result.errors == "error: unknown command 'modles'; did you mean 'models'? (angel help)\n")
  }

  @Test("with --json an error is an object on standard output too")
  func jsonError() throws {
    let result = try run("models", "show", "nothing", "--json")
    #expect(result.code == .failure)
    #expect(try JSONValue(parsing: result.output)["error"]?.string?.contains("'nothing'") == true)
    #expect(try JSONValue(parsing: try run("modles", "--json").output)["error"]?.string != nil)
  }

  @Test("control characters in names cannot reach the terminal")
  func controlCharacters() throws {
    let result = try run("models", "show", "a\u{1B}[31m\nb")
    #expect(result.errors.split(separator: "\n").count == 1 && !result.errors.contains("\u{1B}"))
  }

  @Test("a pulled model is listed, shown and removed")
  func models() throws {
    let source = try folder.write(Goldens.bytes("models/llama-tiny/llama-tiny-Q4_0.gguf"), to: "tiny.gguf")
    #expect(try run("pull", source).output.hasPrefix("tiny is in the store: "))
    let list = try JSONValue(parsing: try run("models", "--json").output)
    #expect(list["models"]?.array?.first?["name"] == "tiny")
    #expect(try run("models", "list", "--names").output == "tiny\n")
    #expect(try run("models", "show", "tiny").output.contains("SHA-256"))
    #expect(try run("models", "remove", "tiny").output.hasPrefix("removed tiny ("))
    #expect(try run("models").output.contains("is empty"))
  }

  @Test("a closed standard output ends the program quietly")
  func closedOutput() throws {
    signal(SIGPIPE, SIG_IGN)
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    close(ends[0])
    let result = try run("help", output: ends[1])
    close(ends[1])
    #expect(result.code == .success && result.errors.isEmpty)
  }

  @Test("a full disk under standard output is an error")
  func fullDisk() throws {
    let full = open("/dev/full", O_WRONLY)
    let result = try run("help", output: full)
    close(full)
    #expect(result.code == .failure)
    #expect(result.errors == "error: cannot write standard output: No space left on device\n")
  }

  @Test("completion scripts name all commands and options", arguments: ["bash", "zsh", "fish"])
  func completion(shell: String) throws {
    let script = try run("completion", shell).output
    for command in CommandCatalog.all {
      #expect(script.contains(command.name))
      for option in command.options { #expect(script.contains(option.name)) }
    }
  }
}
