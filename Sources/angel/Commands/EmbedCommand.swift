import AngelCPU
import AngelCore
import AngelHCF

/// `angel embed MODEL [TEXT…]`: vectors of texts.
enum EmbedCommand: Command {
  static let name = "embed"
  static let summary = "turn texts into vectors whose cosine says how alike they are"
  static let details = """
    MODEL is a sentence encoder. Without TEXT, each line of standard input is a text. Prints one vector a line, its numbers
    separated by spaces; with --json {"model":…,"width":D,"embeddings":[[…],…]}.
    """
  static let positionals = [
    Positional(name: "MODEL", kind: .model, help: "an encoder: a name in the store or a folder"),
    Positional(name: "TEXT", isRequired: false, repeats: true, help: "texts; each line of standard input otherwise"),
  ]
  static let options = [SessionOptions.memory.declaration]
  static let examples = ["embed minilm 'A cat sits.' 'Ein Hund bellt.'", "embed minilm --json < sentences.txt"]

  /// Texts that are read and encoded together.
  private static let batch = 64

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(0, "MODEL", name)
    try context.interruption.deferred {
      let embedder = try context.openEmbedder(model, arguments)
      var texts = Texts(given: Array(arguments.positionals.dropFirst()), context)
      // Batch by batch as they come: standard input may be long.
      var separator = ""
      if context.printsJSON { try context.output.write(start(model, embedder.engine.width)) }
      while case let some = try texts.next(batch), !some.isEmpty {
        for vector in try embedder.vectors(of: some) {
          try context.printsJSON
            ? context.output.write(separator + "[" + row(vector, ",") + "]") : context.output.line(row(vector, " "))
          separator = ","
        }
      }
      if context.printsJSON { try context.output.line("]}") }
    }
  }

  private static func start(_ model: String, _ width: Int) -> String {
    "{\"model\":\(JSONValue.string(model).encoded()),\"width\":\(width),\"embeddings\":["
  }

  /// Each number as the shortest text that reads back as the same float32; null for what JSON cannot say.
  private static func row(_ vector: [Float], _ separator: String) -> String {
    vector.map { $0.isFinite ? $0.description : "null" }.joined(separator: separator)
  }

  /// The texts of the command line, or the lines of standard input.
  private struct Texts {
    private var given: ArraySlice<String>
    private let readsInput: Bool
    private let context: CommandContext

    init(given: [String], _ context: CommandContext) {
      self.given = given[...]
      readsInput = given.isEmpty
      self.context = context
    }

    /// The next ones, at most `count`; none at the end.
    mutating func next(_ count: Int) throws -> [String] {
      guard readsInput else {
        defer { given = given.dropFirst(count) }
        return Array(given.prefix(count))
      }
      var lines: [String] = []
      while lines.count < count, let line = try context.input.nextLine(interruption: context.interruption) {
        lines.append(line)
      }
      return lines
    }
  }
}

extension CommandContext {
  /// Loads an encoder with a progress display, once its memory plan has been found to fit.
  func openEmbedder(_ model: String, _ arguments: Arguments) throws -> TextEmbedder {
    let checkpoint = try openCheckpoint(model)
    let backend = try makeBackend(arguments)
    let display = progress.start("loading \(model)", total: checkpoint.card.byteCount)
    let embedder = try TextEmbedder(
      checkpoint, on: backend, pool: backend.pool, arithmetic: arithmetic,
      report: { display.update(to: $0, total: $1) })
    display.finish()
    embedder.engine.isInterrupted = { [interruption] in interruption.isRequested }
    return embedder
  }
}
