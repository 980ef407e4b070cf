import AngelCore

/// `GET /v1/models`: the models that the client may use.
enum ModelsEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/v1/models"
  static let summary = "The models of this server, loaded or not"

  static func respond(_ call: APICall) {
    let models = call.server.shelf.models.filter { call.key?.allows(model: $0.name) ?? true }
    call.send { ["object": "list", "data": .array(models.map { json($0, call.server.shelf) })] }
  }

  /// A model as OpenAI describes one, with vLLM's `max_model_len` once it is known.
  static func json(_ model: ServedModel, _ shelf: ModelShelf) -> JSONValue {
    let loaded = shelf.loaded(model.name)
    return [
      "id": .string(model.name), "object": "model", "created": .integer(model.created), "owned_by": "angel",
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
    guard let model = call.server.shelf.model(call.argument), call.key?.allows(model: model.name) ?? true else {
      throw APIError(
        status: 404, "there is no model '\(call.argument.prefix(80))'", parameter: "model", code: "model_not_found")
    }
    call.send { ModelsEndpoint.json(model, call.server.shelf) }
  }
}
