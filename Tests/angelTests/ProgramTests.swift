import AngelCore
import AngelTesting
import Glibc
import Testing

@testable import angel

@Suite("The program")
struct ProgramTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a command line with its outputs in files.
  private func run(_ words: String..., output: Int32? = nil) async throws -> (
    code: Angel.ExitCode, output: String, errors: String
  ) {
    let flags = O_WRONLY | O_CREAT | O_TRUNC
    let results = open(folder("output"), flags, 0o600)
    let errors = open(folder("errors"), flags, 0o600)
    defer {
      close(results)
      close(errors)
    }
    let code = await Angel.run(
      words, environment: Environment(["ANGEL_HOME": folder("home")]), interruption: Interruption(),
      output: Output(descriptor: output ?? results), diagnostics: Output(descriptor: errors))
    let text = { (name: String) in String(decoding: try TemporaryFolder.read(folder(name)), as: UTF8.self) }
    return (code, try text("output"), try text("errors"))
  }

  @Test("help names every command, and each has a page with its options")
  func help() async throws {
    let overview = try await run("help")
    #expect(overview.code == .success && overview.errors.isEmpty)
    for command in CommandCatalog.all {
      #expect(overview.output.contains("  \(command.name) "))
      let page = try await run("help", command.name)
      for option in command.options { #expect(page.output.contains("--\(option.name)")) }
      #expect(page.output.split(separator: "\n").allSatisfy { $0.count <= 130 })
      #expect(command.options.allSatisfy { !$0.help.isEmpty } && !command.summary.isEmpty)
    }
    #expect(Set(CommandCatalog.all.map { $0.name }).count == CommandCatalog.all.count)
  }

  @Test("a usage error is one line on standard error and exit code 2")
  func usage() async throws {
    let result = try await run("modles")
    #expect(result.code == .usage && result.output.isEmpty)
    #expect(result.errors == "error: unknown command 'modles'; did you mean 'models'? (angel help)\n")
  }

  @Test("with --json an error is an object on standard output too")
  func jsonError() async throws {
    let result = try await run("models", "show", "nothing", "--json")
    #expect(result.code == .failure)
    #expect(try JSONValue(parsing: result.output)["error"]?.string?.contains("'nothing'") == true)
    #expect(try JSONValue(parsing: try await run("modles", "--json").output)["error"]?.string != nil)
  }

  @Test("control characters in names cannot reach the terminal")
  func controlCharacters() async throws {
    let result = try await run("models", "show", "a\u{1B}[31m\nb")
    #expect(result.errors.split(separator: "\n").count == 1 && !result.errors.contains("\u{1B}"))
  }

  @Test("a pulled model is listed, shown and removed")
  func models() async throws {
    let source = try folder.write(Array("GGUF and more".utf8), to: "tiny.gguf")
    #expect(try await run("pull", source).output.hasPrefix("tiny is in the store: "))
    let list = try JSONValue(parsing: try await run("models", "--json").output)
    #expect(list["models"]?.array?.first?["name"] == "tiny")
    #expect(try await run("models", "list", "--names").output == "tiny\n")
    #expect(try await run("models", "show", "tiny").output.contains("SHA-256"))
    #expect(try await run("models", "remove", "tiny").output.hasPrefix("removed tiny ("))
    #expect(try await run("models").output.contains("is empty"))
  }

  @Test("a closed standard output ends the program quietly")
  func closedOutput() async throws {
    signal(SIGPIPE, SIG_IGN)
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    close(ends[0])
    let result = try await run("help", output: ends[1])
    close(ends[1])
    #expect(result.code == .success && result.errors.isEmpty)
  }

  @Test("a full disk under standard output is an error")
  func fullDisk() async throws {
    let full = open("/dev/full", O_WRONLY)
    let result = try await run("help", output: full)
    close(full)
    #expect(result.code == .failure)
    #expect(result.errors == "error: cannot write standard output: No space left on device\n")
  }

  @Test("completion scripts name all commands and options", arguments: ["bash", "zsh", "fish"])
  func completion(shell: String) async throws {
    let script = try await run("completion", shell).output
    for command in CommandCatalog.all {
      #expect(script.contains(command.name))
      for option in command.options { #expect(script.contains(option.name)) }
    }
  }
}
