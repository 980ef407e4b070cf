import AngelCheckpoint
import AngelCore
import Glibc

/// One of angel's commands: its tables and its work. To add one, write a file in `Commands/` and a line in the catalog.
protocol Command: SendableMetatype {
  /// The word that calls it.
  static var name: String { get }
  /// One line for the list of commands.
  static var summary: String { get }
  /// Further paragraphs of its help page.
  static var details: String { get }
  static var positionals: [Positional] { get }
  static var options: [OptionDeclaration] { get }
  /// Example lines of its help page, without the leading `angel`.
  static var examples: [String] { get }

  /// Does the work; results go to `context.output`.
  static func run(_ arguments: Arguments, _ context: CommandContext) throws
}

extension Command {
  static var details: String { "" }
  static var positionals: [Positional] { [] }
  static var options: [OptionDeclaration] { [] }
  static var examples: [String] { [] }

  /// `angel pull SOURCE [--from FILE]`, without the global options.
  static var usage: String {
    (["angel", name] + positionals.map(\.usage) + (options.isEmpty ? [] : ["[OPTIONS]"])).joined(separator: " ")
  }
}

/// An argument that is told by its place.
struct Positional: Sendable {
  /// What kind of value it is, for shell completion.
  enum Kind: Sendable { case text, file, model, builtInModel, command }

  let name: String
  var isRequired = true
  /// Whether any number of values may follow; only for the last one.
  var repeats = false
  var choices: [String] = []
  var kind = Kind.text
  let help: String

  var usage: String {
    let word = name + (repeats ? "…" : "")
    return isRequired ? word : "[\(word)]"
  }
}

/// The options every command has.
enum GlobalOptions {
  /// How exact the arithmetic is.
  enum Precision: String, CaseIterable, Sendable { case fast, bf16, f32 }

  static let json = Option.flag("json", help: "print one JSON object instead of text")
  static let device = Option<Device>.custom(
    "device", placeholder: "cpu|cuda:N", expects: "cpu or cuda:N", default: .cpu, defaultText: "cpu",
    help: "where to compute", parse: parseDevice)
  static let threads = Option<Int?>.integer("threads", in: 1...1024, help: "worker threads (default: one per core)")
  static let precision = Option<Precision>.choice(
    "precision", default: .fast, help: "fast: quickest for the weights; bf16: weights in bfloat16; f32: all exact"
  )
  static let help = Option.flag("help", help: "show this page")
  static let version = Option.flag("version", help: "show the version")

  static let all = [
    json.declaration, device.declaration, threads.declaration, precision.declaration, help.declaration,
    version.declaration,
  ]

  private static func parseDevice(_ text: String) -> Device? {
    if text == "cpu" { return .cpu }
    guard text.hasPrefix("cuda:"), let index = Int(text.dropFirst(5)), (0..<1024).contains(index) else { return nil }
    return .cuda(index)
  }
}

/// What a command works with; nothing it uses is global.
struct CommandContext {
  let input: Input
  /// Results: standard output.
  let output: Output
  /// Remarks, progress and errors: standard error.
  let diagnostics: Output
  let environment: Environment
  let interruption: Interruption
  let progress: ProgressReporter
  let log: Log
  let printsJSON: Bool
  let device: Device
  /// nil: as many as there are cores.
  let threads: Int?
  let precision: GlobalOptions.Precision

  /// Seconds since 1970.
  var startTime: Int { time(nil) }

  /// The store of models. Throws when the environment does not say where it is.
  var store: ModelStore { get throws { try ModelStore(environment: environment) } }

  /// Prints one JSON value on its own line.
  func print(_ value: JSONValue) throws { try output.line(value.encoded()) }
}
