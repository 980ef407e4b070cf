import AngelCore

/// `GET /v1/models`: the models that the client may use, adapters among them.
enum ModelsEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/v1/models"
  static let summary = "The models of this server, loaded or not, and the adapters beside them"

  static func respond(_ call: APICall) {
    let shelf = call.server.shelf
    let names = shelf.names.filter { call.key?.allows(model: $0) ?? true }
    call.send { ["object": "list", "data": .array(names.compactMap { json($0, shelf) })] }
  }

  /// A model as OpenAI describes one, with vLLM's `max_model_len` once it is known, and vLLM's `root` and `parent`: an
  /// adapter's folder and the model it stands beside. Nil where there is none of that name.
  static func json(_ name: String, _ shelf: ModelShelf) -> JSONValue? {
    let adapter = shelf.adapters[name]
    guard let model = shelf.model(adapter?.base ?? name) else { return nil }
    let loaded = shelf.loaded(model.name)
    return [
      "id": .string(name), "object": "model", "created": .integer(adapter?.created ?? model.created),
      "owned_by": "angel", "root": .string(adapter?.path ?? name), "parent": adapter.map { .string($0.base) } ?? nil,
      "max_model_len": loaded.map { .integer($0.contextLength) } ?? nil, "loaded": .bool(loaded != nil),
    ]
  }
}

/// `GET /v1/models/NAME`: one of them.
enum ModelEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/v1/models/{model}"
  static let summary = "One of the models of this server"

  static func respond(_ call: APICall) throws {
    let name = call.argument
    guard call.key?.allows(model: name) ?? true, let json = ModelsEndpoint.json(name, call.server.shelf) else {
      throw APIError(
        status: 404, "there is no model '\(name.prefix(80))'", parameter: "model", code: "model_not_found")
    }
    call.send { json }
  }
}
