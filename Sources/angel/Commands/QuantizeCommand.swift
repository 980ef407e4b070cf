import AngelCore
import AngelHCF
import AngelMemory

/// `angel quantize`: rounds a model's weights to few bits by what its layers see on a text, and says what that costs.
enum QuantizeCommand: Command {
  static let name = "quantize"
  static let summary = "round a model's weights to few bits, with the quality lost printed"
  static let details = """
    Writes a GGUF file whose linear layers are of --type. nearest rounds value by value; weighted finds the scales that lose
    least where a layer's inputs are large; gptq makes up in later columns for what earlier ones lost. awq scales columns
    before, by powers of the inputs' magnitudes, which the norms and layers that come before take up, and is weighted then;
    awq-gptq is gptq then, and loses least. smoothquant scales for products in int8, with --type q8_0. All but nearest run
    the model over windows of --calibration, a text of the kind the model will see.

    With --bits, --size or --max-loss each layer gets a type of its own: what it loses in each and how much that moves the
    loss is measured, and bytes go where they help most. Where rows are no whole blocks of 256, q4_k becomes q5_0, q5_k
    q5_1 and q6_k q8_0.

    With --prune two of every four consecutive weights of an output become zero before the rest is rounded (2:4): those of
    least magnitude, or with wanda of least magnitude times the norm of their input; gptq and awq-gptq make up for zeros
    too, as SparseGPT does, and lose least. Other programs read zeros in ordinary q4_0, q8_0 or bf16; angel leaves them out
    of memory, where q8_0 takes 22 bytes of 34, q4_0 14 of 18 and bf16 36 of 64, and decodes the faster. Small models lose
    much.

    Embedding and output head are of --embedding. With --text the perplexity on it is printed: of MODEL in
    float32, and of the new file as it will run.
    """
  static let positionals = [
    Positional(name: "MODEL", kind: .model, help: "a name in the store, a folder or a file"),
    Positional(name: "TARGET", kind: .file, help: "the GGUF file to write"),
  ]

  static let method = Option<QuantizeMethod>.choice("method", default: .weighted, help: "how values find their places")
  static let prune = Option<PruningMethod?>.custom(
    "prune", placeholder: PruningMethod.allCases.map(\.rawValue).joined(separator: "|"),
    expects: PruningMethod.allCases.map(\.rawValue).joined(separator: " or "),
    choices: PruningMethod.allCases.map(\.rawValue),
    help: "make two of every four weights zero, those that this finds least"
  ) { PruningMethod(rawValue: $0) }
  /// Blocks, and what pruned layers can be of beside them.
  static let types = BlockFormat.allCases.map(\.dtype) + [.bfloat16]
  static let type = Option<DType>.custom(
    "type", placeholder: types.map(\.name).joined(separator: "|"), expects: types.map(\.name).joined(separator: ", "),
    choices: types.map(\.name), default: .q4_0, defaultText: DType.q4_0.name,
    help: "type of linear layers, or of those no text shows at work; bf16: with --prune alone"
  ) { name in types.first { $0.name == name } }
  static let bits = Option<Double?>.number(
    "bits", in: 1...16, help: "mean bits of a weight of the linear layers, types chosen layer by layer")
  static let size = Option<Int?>.custom(
    "size", placeholder: "SIZE", expects: "a size such as 90MB",
    help: "the size of all tensors, types of linear layers chosen one by one"
  ) { text in (try? MemoryFormat.byteCount(of: text)).flatMap { $0 > 0 ? $0 : nil } }
  static let maxLoss = Option<Double?>.custom(
    "max-loss", placeholder: "SHARE", expects: "a share such as 2%",
    help: "the smallest types with which the perplexity is expected to grow by less, layer by layer"
  ) { text in
    guard let share = Double(text.hasSuffix("%") ? String(text.dropLast()) : text), share > 0, share <= 1000 else {
      return nil
    }
    return text.hasSuffix("%") ? share / 100 : share
  }
  static let embedding = Option<BlockFormat>.choice(
    "embedding", default: .q8_0, help: "the type of the embedding and the output head")
  static let calibration = Option<String?>.text(
    "calibration", placeholder: "FILE", help: "a text to run the model on, which all but nearest need, and wanda")
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
    method.declaration, prune.declaration, type.declaration, bits.declaration, size.declaration, maxLoss.declaration,
    embedding.declaration, calibration.declaration, windows.declaration,
    window.declaration, text.declaration, textWindows.declaration, moments.declaration,
    ModelsCommand.force.declaration, SessionOptions.memory.declaration,
  ]
  static let examples = [
    "quantize ./my-model my-model-q4.gguf --calibration book.txt --text other.txt",
    "quantize smollm2 small.gguf --method nearest --type q5_0",
    "quantize smollm2 small.gguf --bits 5 --calibration book.txt",
    "quantize ./my-model sparse.gguf --prune wanda --method gptq --type q8_0 --calibration book.txt --text other.txt",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let model = try arguments.required(0, "MODEL", name)
    let target = try arguments.required(1, "TARGET", name)
    guard target.lowercased().hasSuffix(".gguf") else {
      throw UsageError(
        "TARGET '\(target)' must end in .gguf: the types it is to hold exist in GGUF alone", command: name)
    }
    let budgets = [arguments[bits] != nil, arguments[size] != nil, arguments[maxLoss] != nil].filter { $0 }.count
    guard budgets < 2 else {
      throw UsageError("--bits, --size and --max-loss are three words for one budget: give one of them", command: name)
    }
    try checkPruning(arguments, hasBudget: budgets > 0)
    let needsText = arguments[method].needsText || budgets > 0 || arguments[prune] == .wanda
    guard !needsText || arguments[calibration] != nil else {
      throw UsageError(
        (budgets > 0
          ? "A choice of types"
          : arguments[method].needsText ? "--method \(arguments[method].rawValue)" : "--prune wanda")
          + " needs --calibration FILE, a text to run the model on", command: name)
    }
    if !needsText, arguments[calibration] != nil {
      throw UsageError(
        "--method nearest looks at no text: leave --calibration out, or choose another", command: name)
    }
    try context.interruption.deferred {
      try QuantizeRun(model: model, target: target, arguments, context).run()
    }
  }

  private static func checkPruning(_ arguments: Arguments, hasBudget: Bool) throws {
    let format = arguments[type]
    guard arguments[prune] != nil else {
      guard format != .bfloat16 else {
        throw UsageError(
          "--type bf16 rounds to no blocks: give --prune too, or use angel models convert --type bf16", command: name)
      }
      return
    }
    guard !hasBudget else {
      throw UsageError("--prune is for one --type, not with --bits, --size or --max-loss", command: name)
    }
    guard format.twoOfFour != nil else {
      throw UsageError(
        "--prune goes with --type q4_0, q8_0 or bf16, which can leave zeros out of memory, not with \(format.name)",
        command: name)
    }
  }
}
