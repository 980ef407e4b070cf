import AngelCore
import Testing

@testable import angel

@Suite("Arguments")
struct ArgumentParserTests {
  private func parse(_ words: String...) throws -> ArgumentParser.Invocation {
    try ArgumentParser(commands: [SampleCommand.self] + CommandCatalog.all).parse(words)
  }

  @Test("values are typed, in both spellings, anywhere, and defaults fill in")
  func values() throws {
    let arguments = try parse(
      "sample", "--count", "3", "first", "--ratio=0.5", "--json", "--tokens", "1,2, 3", "--stop", "a", "--stop=b=c",
      "--colour", "blue", "second"
    ).arguments
    #expect(arguments[SampleCommand.count] == 3)
    #expect(arguments[SampleCommand.ratio] == 0.5)
    #expect(arguments[SampleCommand.tokens] == [1, 2, 3])
    #expect(arguments[SampleCommand.stop] == ["a", "b=c"])
    #expect(arguments[SampleCommand.colour] == .blue)
    #expect(arguments[GlobalOptions.json])
    #expect(arguments.positionals == ["first", "second"])
    let defaults = try parse("sample", "x").arguments
    #expect(defaults[SampleCommand.count] == 7 && defaults[SampleCommand.ratio] == nil)
    #expect(defaults[GlobalOptions.device] == .cpu && defaults[GlobalOptions.threads] == nil)
    #expect(defaults.has(SampleCommand.count) == false)
  }

  @Test("after -- everything is positional, and a lone dash always is")
  func terminator() throws {
    #expect(try parse("sample", "--", "--count", "-h").arguments.positionals == ["--count", "-h"])
    #expect(try parse("sample", "-").arguments.positionals == ["-"])
  }

  @Test("a value may start with a dash, and the last of several counts")
  func dashes() throws {
    #expect(try parse("sample", "x", "--ratio", "-1").arguments[SampleCommand.ratio] == -1)
    #expect(try parse("sample", "x", "--count=1", "--count=2").arguments[SampleCommand.count] == 2)
  }

  @Test("global options may stand before the command")
  func global() throws {
    let arguments = try parse("--threads", "2", "--device", "cuda:1", "--precision=f32", "models").arguments
    #expect(arguments[GlobalOptions.threads] == 2 && arguments[GlobalOptions.device] == .cuda(1))
    #expect(arguments[GlobalOptions.precision] == .f32)
  }

  @Test(
    "what is not understood is an error that names it",
    arguments: [
      (["modles"], "unknown command 'modles'; did you mean 'models'?"),
      (["sample", "x", "--cuont", "1"], "unknown option '--cuont' of angel sample; did you mean '--count'?"),
      (["sample", "x", "-c", "1"], "unknown option '-c' of angel sample; did you mean '--colour' or '--count'?"),
      (["--count", "1", "sample"], "option '--count' must follow the command"),
      (["sample", "x", "--count"], "--count needs a value: an integer from 1 to 9"),
      (["sample", "x", "--count", "10"], "--count must be an integer from 1 to 9, not '10'"),
      (["sample", "x", "--count="], "--count must be an integer from 1 to 9, not ''"),
      (["sample", "x", "--ratio", "nan"], "--ratio must be a number from -1 to 1, not 'nan'"),
      (
        ["sample", "x", "--tokens", "1,,2"],
        "--tokens must be an integer of at least 0, several separated by commas, not '1,,2'"
      ),
      (["sample", "x", "--colour", "re"], "--colour must be red, blue, not 're'"),
      (["sample", "x", "--json=1"], "--json takes no value"),
      (["sample"], "INPUT is missing"),
      (["sample", "a", "b", "c"], "unexpected argument 'c': put OUTPUT in quotes"),
      (
        ["models", "lst"],
        "ACTION must be list, show, remove, export, convert, merge, not 'lst'; did you mean 'list'?"
      ),
      (["models", "--device", "gpu"], "--device must be cpu or cuda:N, not 'gpu'"),
    ])
  func refused(words: [String], message: String) {
    let error = #expect(throws: UsageError.self) {
      try ArgumentParser(commands: [SampleCommand.self] + CommandCatalog.all).parse(words)
    }
    #expect(error?.message == message)
  }

  @Test("no words, --help and -h ask for help, --version for the version")
  func help() throws {
    #expect(try parse().command == HelpCommand.self)
    #expect(try parse("sample", "-h").arguments.positionals == ["sample"])
    #expect(try parse("models", "--help").command == HelpCommand.self)
    #expect(try parse("--version").command == VersionCommand.self)
  }
}

private enum SampleCommand: Command {
  enum Colour: String, CaseIterable, Sendable { case red, blue }

  static let name = "sample"
  static let summary = "a command for tests"
  static let positionals = [
    Positional(name: "INPUT", help: ""), Positional(name: "OUTPUT", isRequired: false, help: ""),
  ]
  static let count = Option.integer("count", default: 7, in: 1...9, help: "")
  static let ratio = Option<Double?>.number("ratio", in: -1...1, help: "")
  static let tokens = Option.integers("tokens", in: 0...Int.max, help: "")
  static let stop = Option.texts("stop", placeholder: "TEXT", help: "")
  static let colour = Option<Colour>.choice("colour", default: .red, help: "")
  static let options = [
    count.declaration, ratio.declaration, tokens.declaration, stop.declaration, colour.declaration,
  ]
  static func run(_ arguments: Arguments, _ context: CommandContext) throws {}
}
