import AngelCore
import AngelHCF
import AngelText

/// `GET /api/tags`: the models that the client may use, as Ollama lists them.
enum OllamaTagsEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/api/tags"
  static let summary = "The models of this server, loaded or not, and the adapters beside them, as Ollama has it"

  static func respond(_ call: APICall) {
    let models = call.ollamaModels.map(\.json)
    call.send { ["models": .array(models)] }
  }
}

/// `GET /api/ps`: those of them that are in memory.
enum OllamaRunningEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/api/ps"
  static let summary = "The models that are in memory, as Ollama has it"

  static func respond(_ call: APICall) {
    let models = call.ollamaModels.compactMap { model -> JSONValue? in
      guard let loaded = call.server.shelf.loaded(model.base.name), case .object(var object) = model.json else {
        return nil
      }
      object["modified_at"] = nil
      // Nothing leaves at a time. Ollama's command takes a model without one for one that is leaving, and shows more
      // than twenty years as for ever.
      object["expires_at"] = "2300-01-01T00:00:00Z"
      // Nothing is in the memory of an accelerator.
      object["size_vram"] = 0
      object["context_length"] = .integer(loaded.contextLength)
      return .object(object)
    }
    call.send { ["models": .array(models)] }
  }
}

/// `POST /api/show`: what is known of a model.
enum OllamaShowEndpoint: Endpoint {
  static let path = "/api/show"
  static let summary = "What is known of a model without loading it, as Ollama has it"
  static let fields: [RequestField] = [
    RequestField("model", .string, OllamaFields.model.help),
    RequestField("name", .string, "the older name of model, where Ollama's own command has it"),
    .withoutEffect("verbose", .boolean, "there is no more to say"),
    // Ollama's own command always sends these.
    .refused("system", "models have none of their own", unless: [""]),
    .refused("template", "the model's own is used", unless: [""]),
    .refused("options", "models have none of their own", unless: [[:]]),
  ]

  static func respond(_ call: APICall) throws {
    let name = call.ollamaName(try asked(call.body))
    guard let model = call.ollamaModels.first(where: { $0.name == name }) else {
      throw APIError(status: 404, "there is no model '\(name.prefix(80))'", parameter: "model", code: "model_not_found")
    }
    call.send { model.shown }
  }

  /// The model's name, by its newer or its older field; one that is empty says nothing.
  private static func asked(_ body: RequestBody) throws(APIError) -> String {
    switch (body.string("model") ?? "", body.string("name") ?? "") {
    case ("", ""): throw .missing("model", kind: .string)
    case ("", let name), (let name, ""): return name
    case (let new, let old):
      guard new == old else {
        throw .invalid("name", "is '\(old.prefix(80))', 'model' is '\(new.prefix(80))': give one of them")
      }
      return new
    }
  }
}

/// `GET /api/version`: the server's version, as Ollama's clients ask for it.
enum OllamaVersionEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/api/version"
  static let summary = "The server's version, as Ollama has it"
  static let isOpen = true

  static func respond(_ call: APICall) { call.send { ["version": .string(call.server.options.version)] } }
}

/// A model, or an adapter beside one, as Ollama describes them.
private struct OllamaModel: Sendable {
  let name: String
  let base: ServedModel
  /// Nil: it is a model of its own.
  let adapter: ServedAdapter?
  /// What writes its turns; nil: nothing, or it is not known before it is loaded.
  let template: String?

  /// By what Ollama's clients tell models apart, and its command shows twelve digits of: the digest of the largest file
  /// as it was pulled. Of others files are not read to the end for it: it is that of what is known of them.
  private var digest: String {
    if adapter == nil, let digest = base.facts?.digest { return digest }
    let known = [name, base.name, base.path ?? "", adapter?.path ?? "", "\(base.facts?.byteCount ?? 0)"]
    return Digest.blake2b(of: known.joined(separator: "\n"))
  }

  /// An entry of a list.
  var json: JSONValue {
    var object = JSONObject([
      ("name", .string(name)), ("model", .string(name)),
      ("modified_at", .string(Timestamp.of(adapter?.created ?? base.created))),
    ])
    if let size = base.facts?.byteCount { object["size"] = .integer(size) }
    object["digest"] = .string(digest)
    object["details"] = details
    return .object(object)
  }

  private var details: JSONValue {
    var object = JSONObject([("parent_model", .string(adapter?.base ?? ""))])
    guard let facts = base.facts else { return .object(object) }
    object["format"] = .string(facts.format)
    object["family"] = .string(facts.family)
    object["families"] = [.string(facts.family)]
    object["parameter_size"] = .string(TextFormat.parameters(facts.parameterCount).replacing(" ", with: ""))
    object["quantization_level"] = .string(facts.quantization)
    return .object(object)
  }

  var shown: JSONValue {
    var object = JSONObject([
      ("modified_at", .string(Timestamp.of(adapter?.created ?? base.created))), ("details", details),
    ])
    guard let facts = base.facts else { return .object(object) }
    if let template { object["template"] = .string(template) }
    object["capabilities"] = .array(capabilities(facts).map { .string($0) })
    // Ollama's command takes both sizes for granted wherever there is a model_info.
    if let longest = facts.contextLength, let width = facts.embeddingLength {
      object["model_info"] = .object(
        JSONObject([
          ("general.architecture", .string(facts.family)), ("general.parameter_count", .integer(facts.parameterCount)),
          (facts.family + ".context_length", .integer(longest)), (facts.family + ".embedding_length", .integer(width)),
        ]))
    }
    return .object(object)
  }

  private func capabilities(_ facts: ModelFacts) -> [String] {
    guard !facts.isEncoder else { return ["embedding"] }
    let template = template ?? ""
    return ["completion"] + (ToolCallSyntax.find(in: template) == nil ? [] : ["tools"])
      + (template.contains("</think>") ? ["thinking"] : [])
  }
}

extension APICall {
  /// The models and adapters that the client may use.
  fileprivate var ollamaModels: [OllamaModel] {
    let shelf = server.shelf
    return shelf.names.filter { key?.allows(model: $0) ?? true }.compactMap { name in
      let adapter = shelf.adapters[name]
      return shelf.model(adapter?.base ?? name).map { base in
        let template = adapter == nil ? base.facts?.chatTemplate : shelf.template(ofAdapter: name, beside: base.name)
        return OllamaModel(name: name, base: base, adapter: adapter, template: template)
      }
    }
  }
}
