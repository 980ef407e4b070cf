import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelText

/// `angel perplexity MODEL FILE`: how well a model predicts a text.
enum PerplexityCommand: Command {
  static let name = "perplexity"
  static let summary = "measure how well a model predicts a text"
  static let details = """
    The text is cut into windows of --context tokens without overlap; the first --unscored tokens of each window are
    context only and an incomplete last window is dropped, unless it is the only one. The result is exp of the mean
    negative log-likelihood of the scored tokens: the lower, the better the model predicts the text. What
    llama-perplexity prints for windows of 512 is that of --unscored 257.
    """
  static let positionals = [
    Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file"),
    Positional(name: "FILE", kind: .file, help: "a text file"),
  ]
  static let window = Option<Int?>.integer(
    "context", in: 2...1 << 20, help: "tokens in a window (default: 512, or the model's context where it is shorter)")
  static let unscored = Option<Int>.integer(
    "unscored", default: 1, in: 1...1 << 20, help: "tokens at the start of each window that are not scored")
  static let windows = Option<Int?>.integer("windows", in: 1...1 << 40, help: "score only the first N windows")
  static let limit = Option<Int?>.integer("bytes", in: 1...1 << 40, help: "use the first N bytes of the file")
  static let options =
    [
      window.declaration, unscored.declaration, windows.declaration, limit.declaration,
      SessionOptions.adapter.declaration,
    ]
    + SessionOptions.withoutContext
  static let examples = ["perplexity smollm2 book.txt --context 512 --precision f32"]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(0, "MODEL", name)
    let file = try MappedFile(path: arguments.required(1, "FILE", name))
    try context.interruption.deferred {
      let checkpoint = try context.openCheckpoint(model)
      let size = arguments[window] ?? min(512, max(2, checkpoint.dimensions.contextLength ?? 512))
      let session = try context.openSession(
        checkpoint, named: model, adapter: SessionOptions.adapterFolder(arguments),
        options: SessionOptions.engine(arguments, context, contextLength: size),
        on: context.makeBackend(arguments))
      let bytes = try file.withBytes(0..<min(arguments[limit] ?? file.byteCount, file.byteCount)) { Array($0) }
      let tokens = try session.tokenizer.encode(bytes, addingSpecialTokens: false, parsingSpecialTokens: false)
      guard tokens.count > 1 else { throw PerplexityError.tooShort(path: file.path, tokens: tokens.count) }
      let windows = TextWindows.cut(tokens, size: size, limit: arguments[Self.windows] ?? .max)
      guard let length = windows.map(\.count).min(), arguments[unscored] < length else {
        throw PerplexityError.nothingScored(unscored: arguments[unscored], window: windows.map(\.count).min() ?? 0)
      }
      let clock = ContinuousClock()
      let begin = clock.now
      let perplexity = try context.perplexity(
        of: windows, "scoring", unscored: arguments[unscored], with: session.engine)
      let seconds = (clock.now - begin).seconds
      if context.printsJSON {
        return try context.print([
          "perplexity": .number(perplexity.value), "tokens": .integer(perplexity.tokenCount),
          "seconds": .number(seconds), "windows": .integer(windows.count), "context": .integer(size),
        ])
      }
      try context.output.line(
        "perplexity \(TextFormat.fixed(perplexity.value, digits: 4)) over \(perplexity.tokenCount) tokens "
          + "in \(TextFormat.fixed(seconds, digits: 1)) s")
    }
  }
}

/// Why a text cannot be scored.
enum PerplexityError: DescribedError {
  case tooShort(path: String, tokens: Int)
  case nothingScored(unscored: Int, window: Int)

  var description: String {
    switch self {
    case .tooShort(let path, let tokens):
      "'\(path)' has \(tokens) token\(tokens == 1 ? "" : "s"), and the first is never scored: give a longer text"
    case .nothingScored(let unscored, let window):
      "--unscored \(unscored) leaves nothing of a window of \(window) tokens: lower it, or raise --context"
    }
  }
}
