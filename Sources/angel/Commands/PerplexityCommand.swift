import AngelCore
import AngelHCF
import AngelText
import AngelCheckpoint

/// `angel perplexity MODEL FILE`: how well a model predicts a text.
enum PerplexityCommand: Command {
  static let name = "perplexity"
  static let summary = "measure how well a model predicts a text"
  static let details = """
    The text is cut into windows of --context tokens without overlap; the first token of each window is unscored. \
    The result is exp of the mean negative log-likelihood of the others.
    """
  static let positionals = [
    Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file"),
    Positional(name: "FILE", kind: .file, help: "a text file"),
  ]
  static let window = Option<Int>.integer("context", default: 512, in: 2...1 << 20, help: "tokens in a window")
  static let limit = Option<Int?>.integer("bytes", in: 1...1 << 40, help: "use the first N bytes of the file")
  static let options = [window.declaration, limit.declaration]
  static let examples = ["perplexity smollm2 book.txt --context 512 --precision f32"]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws {
    let model = try arguments.required(0, "MODEL", name)
    let file = try MappedFile(path: arguments.required(1, "FILE", name))
    try context.interruption.deferred {
      let session = try context.openSession(model, arguments)
      let bytes = try file.withBytes(0..<min(arguments[limit] ?? file.byteCount, file.byteCount)) { Array($0) }
      let tokens = try session.tokenizer.encode(bytes, addingSpecialTokens: false, parsingSpecialTokens: false)
      guard tokens.count > 1 else { throw EngineError.emptyPrompt }
      let display = context.progress.start("scoring", total: tokens.count, unit: .items("tokens"))
      let clock = ContinuousClock()
      let begin = clock.now
      var perplexity = Perplexity()
      for start in stride(from: 0, to: tokens.count, by: arguments[window]) {
        try context.interruption.check()
        let end = min(start + arguments[window], tokens.count)
        try perplexity.score(Array(tokens[start..<end]), with: session.engine)
        display.update(to: end)
      }
      display.finish()
      let seconds = (clock.now - begin).seconds
      if context.printsJSON {
        return try context.print([
          "perplexity": .number(perplexity.value), "tokens": .integer(perplexity.tokenCount),
          "seconds": .number(seconds),
        ])
      }
      try context.output.line(
        "perplexity \(TextFormat.fixed(perplexity.value, digits: 4)) over \(perplexity.tokenCount) tokens "
          + "in \(TextFormat.fixed(seconds, digits: 1)) s")
    }
  }
}
