import AngelCore
import AngelData
import AngelText

/// `angel data tokenize`: texts to a file of tokens that training maps instead of encoding them each time.
enum DataCommand: Command {
  static let name = "data"
  static let summary = "prepare data for training"
  static let details = """
    tokenize writes the texts of FILES (.txt whole; .jsonl, .json, .csv, .tsv and .parquet by row; .gz and .zst unpacked)
    as one file of tokens, each text followed by the tokenizer's end token. Files may be larger than memory. A recipe names such
    a file under data.train; training refuses one of another tokenizer.
    """
  static let positionals = [
    Positional(name: "ACTION", choices: ["tokenize"], help: "what to do"),
    Positional(name: "FILES", repeats: true, kind: .file, help: "text, JSON, tables or Parquet"),
  ]
  static let tokenizer = Option<String?>.text(
    "tokenizer", placeholder: "MODEL", help: "a model's name, folder or file, or byte")
  static let output = Option<String?>.text("output", placeholder: "FILE", help: "the file to write, named *.tokens")
  static let textKey = Option<String>.text(
    "text-key", placeholder: "KEY", default: "text", help: "the key of the text in rows")
  static let continues = Option<Bool>.flag("no-end", help: "put no end token after each text")
  static let options = [tokenizer.declaration, output.declaration, textKey.declaration, continues.declaration]
  static let examples = ["data tokenize books.jsonl more.txt --tokenizer smollm2 --output books.tokens"]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let files = Array(arguments.positionals.dropFirst())
    guard !files.isEmpty else { throw UsageError("FILES is missing", command: name) }
    guard let model = arguments[tokenizer] else { throw UsageError("--tokenizer is missing", command: name) }
    guard let target = arguments[output] else { throw UsageError("--output is missing", command: name) }
    // Recipes tell files of tokens by their ending.
    guard target.hasSuffix(".tokens") else { throw UsageError("--output must end in .tokens", command: name) }
    let description = try model == "byte" ? .bytes() : context.openCheckpoint(model).tokenizer()
    try context.interruption.deferred {
      try tokenize(files, Tokenizer(description), to: target, arguments, context)
    }
  }

  private static func tokenize(
    _ files: [String], _ tokenizer: Tokenizer, to target: String, _ arguments: Arguments, _ context: CommandContext
  ) throws {
    let end = arguments[continues] ? nil : tokenizer.endToken
    let texts = TextTokens(tokenizer, endToken: end, key: arguments[textKey])
    var writer = TokenFileWriter(
      path: target, vocabularySize: tokenizer.vocabularySize, tokenizerDigest: tokenizer.digest, holds: -1)
    for path in files {
      let reader = try RecordReader(path: path, keys: [arguments[textKey]])
      let display = context.progress.start("tokenizing", total: reader.byteCount)
      let encoder = RowEncoder(reader, texts.tokens)
      while let rows = try encoder.next() {
        try context.interruption.check()
        for (record, tokens) in rows { try writer.append(tokens, continues: record.continues) }
        display.update(to: reader.bytesRead)
      }
      display.finish()
    }
    let (count, documents) = (writer.tokenCount, writer.documentCount)
    try writer.finish()
    if context.printsJSON {
      return try context.print(["path": .string(target), "texts": .integer(documents), "tokens": .integer(count)])
    }
    try context.output.line("\(target): \(TextFormat.count(count)) tokens of \(TextFormat.count(documents)) texts")
  }
}
