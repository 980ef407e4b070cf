import AngelCore
import AngelHCF
import AngelMemory

/// `angel quantize`: rounds a model's weights to few bits by what its layers see on a text, and says what that costs.
enum QuantizeCommand: Command {
  static let name = "quantize"
  static let summary = "round a model's weights to few bits, with the quality lost printed"
  static let details = """
    Writes a GGUF file whose linear layers are of --type. nearest rounds value by value; weighted finds the scales that lose
    least where a layer's inputs are large; gptq makes up in later columns for what earlier ones lost. The last two run the
    model over windows of --calibration, a text of the kind the model will see. Embedding, output head and layers whose rows
    are no whole blocks are of --embedding. With --text the perplexity on it is printed: of MODEL in float32, and of the new
    file as it will run.
    """
  static let positionals = [
    Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file"),
    Positional(name: "TARGET", kind: .file, help: "the GGUF file to write"),
  ]

  static let method = Option<QuantizeMethod>.choice("method", default: .weighted, help: "how values find their places")
  static let type = Option<BlockFormat>.choice("type", default: .q4_0, help: "the type of the linear layers")
  static let embedding = Option<BlockFormat>.choice(
    "embedding", default: .q8_0, help: "the type of the embedding and the output head")
  static let calibration = Option<String?>.text(
    "calibration", placeholder: "FILE", help: "a text for weighted and gptq to run the model on")
  static let windows = Option<Int>.integer(
    "windows", default: 64, in: 1...1 << 20, help: "windows of the calibration text, evenly spaced")
  static let window = Option<Int?>.integer(
    "context", in: 2...1 << 20, help: "tokens in a window (default: 512, or the model's context where it is shorter)")
  static let text = Option<String?>.text(
    "text", placeholder: "FILE", help: "a text to print the perplexity of, before and after")
  static let textWindows = Option<Int>.integer(
    "text-windows", default: 20, in: 1...1 << 20, help: "windows of --text to score")
  static let moments = Option<Int>.custom(
    "moments", placeholder: "SIZE", expects: "a size such as 256MiB", default: 256 << 20, defaultText: "256MiB",
    help: "memory for the inputs' moments; less memory is more passes over the text"
  ) { text in (try? MemoryFormat.byteCount(of: text)).flatMap { $0 > 0 ? $0 : nil } }
  static let options = [
    method.declaration, type.declaration, embedding.declaration, calibration.declaration, windows.declaration,
    window.declaration, text.declaration, textWindows.declaration, moments.declaration,
    ModelsCommand.force.declaration, SessionOptions.memory.declaration,
  ]
  static let examples = [
    "quantize ./my-model my-model-q4.gguf --calibration book.txt --text other.txt",
    "quantize smollm2 small.gguf --method nearest --type q5_0",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(0, "MODEL", name)
    let target = try arguments.required(1, "TARGET", name)
    guard target.lowercased().hasSuffix(".gguf") else {
      throw UsageError(
        "TARGET '\(target)' must end in .gguf: the types it is to hold exist in GGUF alone", command: name)
    }
    guard !arguments[method].needsText || arguments[calibration] != nil else {
      throw UsageError(
        "--method \(arguments[method].rawValue) needs --calibration FILE, a text to run the model on", command: name)
    }
    if !arguments[method].needsText, arguments[calibration] != nil {
      throw UsageError(
        "--method nearest looks at no text: leave --calibration out, or choose another", command: name)
    }
    try context.interruption.deferred {
      try QuantizeRun(model: model, target: target, arguments, context).run()
    }
  }
}
