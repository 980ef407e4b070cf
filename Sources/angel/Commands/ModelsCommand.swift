import AngelCheckpoint
import AngelCore

/// `angel models`: lists the store, shows a model's card, removes a model.
enum ModelsCommand: Command {
  static let name = "models"
  static let summary = "list, show or remove the models in the store"
  static let positionals = [
    Positional(
      name: "ACTION", isRequired: false, choices: ["list", "show", "remove"], help: "what to do (default: list)"),
    Positional(name: "MODEL", isRequired: false, kind: .model, help: "a name in the store, a folder or a file"),
  ]
  static let names = Option.flag("names", help: "list the names alone")
  static let options = [names.declaration]
  static let examples = ["models", "models show smollm2", "models remove smollm2"]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws {
    let store = try context.store
    let action = arguments.positional(0) ?? "list"
    if action == "list" {
      if let extra = arguments.positional(1) { throw UsageError("unexpected argument '\(extra)'", command: name) }
      return try list(store, arguments, context)
    }
    guard let model = arguments.positional(1) else { throw UsageError("MODEL is missing", command: name) }
    if action == "show" { return try show(store.resolve(model), context) }
    let freed = try store.remove(model)
    if context.printsJSON {
      return try context.print(["removed": .string(model), "bytes": .integer(freed)])
    }
    try context.output.line("removed \(model) (\(TextFormat.bytes(freed)))")
  }

  private static func list(_ store: ModelStore, _ arguments: Arguments, _ context: CommandContext) throws {
    let models = try store.list()
    if arguments[names] { return try context.output.write(models.map { $0.manifest.name + "\n" }.joined()) }
    if context.printsJSON {
      let cards = models.map { model in
        var object = model.manifest.json.object ?? JSONObject()
        object["path"] = .string(model.path)
        return JSONValue.object(object)
      }
      return try context.print(["models": .array(cards), "store": .string(store.root)])
    }
    guard !models.isEmpty else {
      let names = BuiltInModels.all.map(\.name).joined(separator: ", ")
      return try context.output.line("the store \(store.root) is empty; built-in models to pull: \(names)")
    }
    var table = Table([("NAME", .left), ("SIZE", .right), ("PULLED", .left), ("SOURCE", .left)])
    for model in models {
      let manifest = model.manifest
      table.append([
        manifest.name, TextFormat.bytes(manifest.size), String(manifest.pulled.prefix(10)), manifest.source,
      ])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
  }

  /// The facts of the store about a model. What its file says (architecture, sizes, tokenizer) joins these facts.
  private static func show(_ model: ModelStore.ResolvedModel, _ context: CommandContext) throws {
    var facts: [(label: String, key: String, value: JSONValue)] = [
      ("name", "name", .string(model.name)), ("path", "path", .string(model.path)),
    ]
    if let manifest = model.manifest {
      facts.append(("source", "source", .string(manifest.source)))
      if let license = manifest.license { facts.append(("license", "license", .string(license))) }
      facts.append(("pulled", "pulled", .string(manifest.pulled)))
      facts.append(("size", "bytes", .integer(manifest.size)))
      if context.printsJSON { facts.append(("files", "files", manifest.json["files"] ?? .null)) }
    }
    if context.printsJSON { return try context.print(.object(JSONObject(facts.map { ($0.key, $0.value) }))) }
    var table = Table([("MODEL", .left), (model.name, .left)])
    for fact in facts.dropFirst() {
      let text = fact.key == "bytes" ? TextFormat.bytes(fact.value.integer ?? 0) : fact.value.string ?? ""
      table.append([fact.label, text])
    }
    for file in model.manifest?.files ?? [] {
      table.append(["file", "\(file.path)  \(TextFormat.bytes(file.size))  SHA-256 \(file.sha256)"])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
  }
}
