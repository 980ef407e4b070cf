import AngelCheckpoint
import AngelCore

/// `angel models`: lists the store, shows a model's card, removes, exports, converts or merges a model.
enum ModelsCommand: Command {
  static let name = "models"
  static let summary = "list, show, remove, export, convert or merge models"
  static let details = """
    show prints a model's card (architecture, sizes, types, tokenizer, license, files) and the memory it takes to serve
    one stream with the given --context, --cache and --precision, against the budget of --memory.

    list tells of downloads that were cut off, too; remove takes their source as well as a model's name, and what nobody
    has continued for 30 days goes with the next pull.

    export copies a model of the store to TARGET as it was pulled. convert writes MODEL as a GGUF file or as a folder of
    safetensors, tensor by tensor: the layout is the one of TARGET's ending unless --format says another, and --type
    rounds the matrices, q4_0 to q8_0 by the formats' reference rule. Without --type they stay as they are; quantised
    ones become f32 in a folder. --format compressed-tensors writes linear layers as whole numbers and scales, in 4 bits
    (--type q4_0, or layers that are so) or 8 (q8_0). Folders quantised by GPTQ, AWQ or compressed-tensors are read as
    any other; show says in which types they are held. Encoders such as minilm are converted too. --split-bytes 2G
    writes a large file in parts (model-00001-of-00003.gguf, the first of which is opened). What is written appears whole
    or not at all.

    merge MODEL ADAPTER TARGET adds a PEFT folder of low-rank adapters, such as `angel train` writes, to the weights of the
    model it was trained beside, and writes a folder of safetensors: f32, or as --type says f16 or bf16.
    """
  static let positionals = [
    Positional(
      name: "ACTION", isRequired: false, choices: ["list", "show", "remove", "export", "convert", "merge"],
      help: "what to do; list unless given"),
    Positional(name: "MODEL", isRequired: false, kind: .model, help: "a name in the store, a folder or a file"),
    Positional(
      name: "TARGET", isRequired: false, repeats: true, kind: .file,
      help: "the file or folder to write; of merge the adapter's folder before it"),
  ]
  static let names = Option.flag("names", help: "list the names alone")
  static let force = Option.flag("force", help: "write over what stands at TARGET")
  static let options = [names.declaration, force.declaration] + ConvertModel.options + SessionOptions.all
  static let examples = [
    "models", "models show smollm2", "models remove smollm2", "models export smollm2 smollm2.gguf",
    "models convert smollm2 smollm2-folder --type bf16", "models convert ./folder model.gguf --type q8_0",
    "models convert ./folder model.gguf --split-bytes 2G",
    "models convert smollm2 packed --format compressed-tensors --type q4_0",
    "models merge smollm2 runs/lora/adapter smollm2-lora",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let store = try context.store
    let action = arguments.positional(0) ?? "list"
    if action == "list" {
      try refuseArgument(1, arguments)
      return try list(store, arguments, context)
    }
    guard let model = arguments.positional(1) else { throw UsageError("MODEL is missing", command: name) }
    if action == "merge" {
      guard let adapter = arguments.positional(2) else { throw UsageError("ADAPTER is missing", command: name) }
      guard let target = arguments.positional(3) else { throw UsageError("TARGET is missing", command: name) }
      try refuseArgument(4, arguments)
      return try MergeModel.run(store.resolve(model), adapter, target, arguments, context)
    }
    try refuseArgument(3, arguments)
    if action == "export" || action == "convert" {
      guard let target = arguments.positional(2) else { throw UsageError("TARGET is missing", command: name) }
      if action == "export" { return try ExportModel.run(model, target, arguments, context) }
      return try ConvertModel.run(store.resolve(model), target, arguments, context)
    }
    try refuseArgument(2, arguments)
    if action == "show" { return try show(store.resolve(model), arguments, context) }
    let freed = try remove(model, from: store)
    if context.printsJSON {
      return try context.print(["removed": .string(model), "bytes": .integer(freed)])
    }
    try context.output.line("removed \(model) (\(TextFormat.bytes(freed)))")
  }

  /// A model, and what is left of a pull of it that was cut off; `model` may be the source of such a pull alone.
  private static func remove(_ model: String, from store: ModelStore) throws -> Int {
    guard let stored = try? store.stored(model) else {
      if let freed = try store.removeUnfinished(model) { return freed }
      return try store.remove(model)
    }
    let parts = try store.removeUnfinished(stored.manifest.source) ?? 0
    return try store.remove(model) + parts
  }

  private static func refuseArgument(_ index: Int, _ arguments: Arguments) throws {
    if let extra = arguments.positional(index) { throw UsageError("unexpected argument '\(extra)'", command: name) }
  }

  private static func list(_ store: ModelStore, _ arguments: Arguments, _ context: CommandContext) throws {
    let models = try store.list()
    if arguments[names] { return try context.output.write(models.map { $0.manifest.name + "\n" }.joined()) }
    if context.printsJSON {
      let cards = models.map { model in
        var object = model.manifest.json.object ?? JSONObject()
        object["path"] = .string(model.path)
        object["bytes"] = .integer(model.manifest.size)
        let checkpoint = try? Checkpoint.open(model.path)
        object["architecture"] = checkpoint.map { .string($0.architecture) } ?? .null
        object["parameters"] = checkpoint.map { .integer($0.card.parameterCount) } ?? .null
        return JSONValue.object(object)
      }
      let unfinished = try store.unfinishedDownloads().map { download -> JSONValue in
        [
          "source": .string(download.source), "bytes": .integer(download.bytes),
          "secondsUntouched": .integer(download.age),
        ]
      }
      return try context.print([
        "models": .array(cards), "unfinished": .array(unfinished), "store": .string(store.root),
      ])
    }
    guard !models.isEmpty else {
      let names = BuiltInModels.all.map(\.name).joined(separator: ", ")
      try context.output.line("the store \(store.root) is empty; built-in models to pull: \(names)")
      return try listUnfinished(store, context)
    }
    var table = Table([
      ("NAME", .left), ("ARCHITECTURE", .left), ("PARAMETERS", .right), ("SIZE", .right), ("LICENSE", .left),
      ("PULLED", .left), ("COMMIT", .left), ("SOURCE", .left),
    ])
    for model in models {
      let manifest = model.manifest
      // Only headers are read; a model that cannot be opened is listed all the same.
      let checkpoint = try? Checkpoint.open(model.path)
      table.append([
        manifest.name, checkpoint?.architecture ?? "?",
        checkpoint.map { TextFormat.parameters($0.card.parameterCount) } ?? "?", TextFormat.bytes(manifest.size),
        manifest.license ?? checkpoint?.card.license ?? "", String(manifest.pulled.prefix(10)),
        String((manifest.commit ?? "").prefix(7)), source(of: manifest),
      ])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
    try listUnfinished(store, context)
  }

  /// Downloads that were cut off, with what to do about them.
  private static func listUnfinished(_ store: ModelStore, _ context: CommandContext) throws {
    let unfinished = try store.unfinishedDownloads()
    guard !unfinished.isEmpty else { return }
    try context.output.line("\nunfinished downloads: angel pull continues one, angel models remove gives it up")
    for download in unfinished {
      let days = download.age / 86_400
      let age = days == 0 ? "today" : days == 1 ? "a day ago" : "\(days) days ago"
      try context.output.line("  \(download.source)  \(TextFormat.bytes(download.bytes)), \(age)")
    }
  }

  /// Where a model came from; of several packages the first.
  private static func source(of manifest: ModelManifest) -> String {
    let packages = manifest.source.split(separator: " ")
    guard packages.count > 1, packages.allSatisfy({ $0.contains("==") }) else { return manifest.source }
    return "\(packages[0]) and \(packages.count - 1) more"
  }

  /// The model's card and the memory it takes to run.
  private static func show(
    _ model: ModelStore.ResolvedModel, _ arguments: Arguments, _ context: CommandContext
  ) throws {
    let report = try ModelReport(model, arguments, context)
    if context.printsJSON { return try context.print(.object(report.json)) }
    try context.output.line(report.cardText + "\n\n" + report.planText)
  }
}
