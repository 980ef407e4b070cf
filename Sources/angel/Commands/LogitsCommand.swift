import AngelCore
import AngelHCF

/// `angel logits MODEL --tokens 1,2,3`: the scores of every vocabulary entry.
enum LogitsCommand: Command {
  static let name = "logits"
  static let summary = "print the logits after a list of tokens"
  static let positionals = [Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file")]
  static let tokens = Option<[Int]>.integers("tokens", in: 0...Int(Int32.max), help: "the input")
  static let all = Option<Bool>.flag("all", help: "one row of logits for each position, not only the last")
  static let options = [tokens.declaration, all.declaration] + SessionOptions.all
  static let examples = ["logits smollm2 --tokens 1,2,3 --precision f32"]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(0, "MODEL", name)
    let ids = arguments[tokens].map { Int32($0) }
    guard !ids.isEmpty else { throw UsageError("--tokens is missing: give at least one id", command: name) }
    try context.interruption.deferred {
      let engine = try context.openSession(model, arguments).engine
      var rows: [JSONValue] = []
      let sequence = engine.makeSequence()
      if arguments[all] {
        try engine.allLogits(after: ids, in: sequence) { rows.append(.array($0.map(Self.number))) }
      } else {
        rows.append(.array(try engine.logits(after: ids, in: sequence).map(Self.number)))
      }
      let logits = arguments[all] ? JSONValue.array(rows) : rows[0]
      try context.print(["vocabulary": .integer(engine.vocabularySize), "logits": logits])
    }
  }

  /// The shortest text that reads back as the same float32.
  private static func number(_ value: Float) -> JSONValue { .number(Double(value.description) ?? Double(value)) }
}
