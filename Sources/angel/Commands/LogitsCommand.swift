import AngelCore
import AngelHCF

/// `angel logits MODEL --tokens 1,2,3`: the scores of every vocabulary entry.
enum LogitsCommand: Command {
  static let name = "logits"
  static let summary = "print the logits after a list of tokens"
  static let details = """
    Prints {"vocabulary":V,"logits":[…]}: V numbers after the last token, or with --all one row of V for each token.
    """
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
      let sequence = engine.makeSequence()
      let start = "{\"vocabulary\":\(engine.vocabularySize),\"logits\":"
      guard arguments[all] else {
        let logits = try engine.logits(after: ids, in: sequence)
        return try context.output.line(start + logits.withUnsafeBufferPointer(row) + "}")
      }
      // Row by row as they come: all of them at once would take gigabytes for a long text.
      var separator = start + "["
      try engine.allLogits(after: ids, in: sequence) {
        try context.output.write(separator + row($0))
        separator = ","
      }
      try context.output.line("]}")
    }
  }

  /// Each number as the shortest text that reads back as the same float32; null for what JSON cannot say.
  private static func row(_ logits: UnsafeBufferPointer<Float>) -> String {
    "[" + logits.map { $0.isFinite ? $0.description : "null" }.joined(separator: ",") + "]"
  }
}
