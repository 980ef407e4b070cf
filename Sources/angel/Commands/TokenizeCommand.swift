import AngelCore
import AngelText

/// `angel tokenize MODEL`: text on standard input to token ids, or back.
enum TokenizeCommand: Command {
  static let name = "tokenize"
  static let summary = "turn text on standard input into token ids, or back"
  static let details = "Prints {\"tokens\":[…]}; with --decode the text, as it is or with --json {\"text\":…}."
  static let positionals = [Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file")]
  static let decode = Option<Bool>.flag(
    "decode", help: "read ids (as JSON, or separated by spaces or commas), write text")
  static let special = Option<Bool>.flag("special", help: "add the tokens the model begins and ends a text with")
  static let plain = Option<Bool>.flag("plain", help: "take spelt-out special tokens in the text as plain text")
  static let options = [decode.declaration, special.declaration, plain.declaration]
  static let examples = ["tokenize smollm2 < letter.txt", "tokenize smollm2 --decode <<< '[1, 2]'"]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    if arguments[decode], arguments[special] || arguments[plain] {
      throw UsageError("--decode goes with neither --special nor --plain", command: name)
    }
    let tokenizer = try Tokenizer(context.openCheckpoint(arguments.required(0, "MODEL", name)).tokenizer())
    let input = try context.input.readAll(interruption: context.interruption)
    if arguments[decode] {
      let text = try tokenizer.decode(parseTokens(input), skippingSpecialTokens: false)
      return context.printsJSON
        ? try context.print(["text": .string(text)]) : try context.output.write(text)
    }
    let tokens = try tokenizer.encode(
      input, addingSpecialTokens: arguments[special], parsingSpecialTokens: !arguments[plain])
    try context.print(["tokens": .array(tokens.map { .integer(Int($0)) })])
  }

  private static func parseTokens(_ input: [UInt8]) throws -> [Int32] {
    if let json = try? JSONValue(parsing: input), let array = json.array ?? json["tokens"]?.array {
      return try array.map { value in
        guard let token = value.integer.flatMap(Int32.init(exactly:)) else { throw notAToken(value.encoded()) }
        return token
      }
    }
    let text = String(decoding: input, as: UTF8.self)
    return try text.split(whereSeparator: { $0.isWhitespace || $0 == "," }).map { word in
      guard let token = Int32(word) else { throw notAToken(String(word)) }
      return token
    }
  }

  private static func notAToken(_ text: String) -> UsageError {
    UsageError("'\(text.prefix(40))' is not a token id", command: name)
  }
}

extension Arguments {
  /// The positional at `index`; throws naming it when it is missing.
  func required(_ index: Int, _ what: String, _ command: String) throws -> String {
    guard let value = positional(index) else { throw UsageError("\(what) is missing", command: command) }
    return value
  }
}
