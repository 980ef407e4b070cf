import AngelCore
import AngelHCF

/// `POST /v1/load_lora_adapter`: puts the adapter in a folder of the server's machine beside a model, as vLLM has it.
enum LoadAdapterEndpoint: Endpoint {
  static let path = "/v1/load_lora_adapter"
  static let summary = "Put an adapter beside a model, under a name of its own (angel serve --adapter-loading)"
  static let answerType = "text/plain"
  static let fields: [RequestField] = [
    RequestField("lora_name", .string, isRequired: true, "what requests will call it"),
    RequestField("lora_path", .string, isRequired: true, "a PEFT folder on the server's machine"),
    RequestField("model", .string, "the model it stands beside; the server's first where left out"),
    .refused("load_inplace", "unload the old one first", unless: [false]),
    .refused("is_3d_lora_weight", "matrices are those of linear layers", unless: [false]),
  ]

  static func respond(_ call: APICall) throws {
    try call.requireAdapterLoading()
    let (body, shelf) = (call.body, call.server.shelf)
    let (name, path) = (body.string("lora_name") ?? "", body.string("lora_path") ?? "")
    let base = body.string("model") ?? shelf.models[0].name
    guard !name.isEmpty, name.utf8.count <= 256 else {
      throw APIError.invalid("lora_name", "must have 1 to 256 bytes")
    }
    let isTaken = APIError.invalid("lora_name", "is '\(name)', which is taken: unload it first, or choose another name")
    guard !shelf.names.contains(name) else { throw isTaken }
    guard shelf.model(base) != nil else {
      throw APIError.invalid("model", "is '\(base)', which is none of this server's models")
    }
    shelf.use(base) { result in
      do {
        let use = try result.get()
        guard case .language(let engine as any AdapterEngine) = use.model else {
          throw ShelfError.noAdapters(model: base)
        }
        try engine.load(adapter: name, from: path) { result in
          // The model stays while it gets its adapter.
          withExtendedLifetime(use) {
            do {
              try result.get()
              let adapter = ServedAdapter(
                name: name, base: base, path: path, created: APIServer.unixTime, isOptional: true)
              guard shelf.adapters.add(adapter) else {
                // Somebody gave the name to one beside another model meanwhile.
                try engine.unload(adapter: name) {}
                throw isTaken
              }
              call.send(text: "Success: LoRA adapter '\(name)' added successfully.")
            } catch { call.fail(refusal(error)) }
          }
        }
      } catch { call.fail(refusal(error)) }
    }
  }

  /// What is wrong with a folder is wrong with the request.
  private static func refusal(_ error: any Error) -> any Error {
    if error is EngineError || error is APIError || error is ShelfError || !(error is any DescribedError) {
      return error
    }
    return APIError(status: 400, "\(error)", parameter: "lora_path", code: "invalid_value")
  }
}

/// `POST /v1/unload_lora_adapter`: takes an adapter out once the requests that use it have ended; answers then.
enum UnloadAdapterEndpoint: Endpoint {
  static let path = "/v1/unload_lora_adapter"
  static let summary = "Take an adapter out once the requests that use it have ended"
  static let answerType = "text/plain"
  static let fields: [RequestField] = [
    RequestField("lora_name", .string, isRequired: true, "which adapter"),
    .withoutEffect("lora_int_id", .integer(0...Int(Int32.max)), "adapters are known by name"),
  ]

  static func respond(_ call: APICall) throws {
    try call.requireAdapterLoading()
    let (name, shelf) = (call.body.string("lora_name") ?? "", call.server.shelf)
    guard let adapter = shelf.adapters.remove(name) else {
      throw APIError(
        status: 404, "there is no adapter '\(name.prefix(80))'", parameter: "lora_name", code: "model_not_found")
    }
    let end: @Sendable () -> Void = { call.send(text: "Success: LoRA adapter '\(name)' removed successfully.") }
    guard case .language(let engine as any AdapterEngine)? = shelf.loaded(adapter.base) else { return end() }
    try engine.unload(adapter: name, onEnd: end)
  }
}

extension APICall {
  /// Throws unless this server lets adapters be loaded at run time: who may, has it read any folder of its machine.
  fileprivate func requireAdapterLoading() throws(APIError) {
    guard server.options.allowsAdapterLoading else {
      throw APIError(
        status: 403, "adapters are not loaded at run time here: start the server with --adapter-loading",
        code: "adapter_loading_disabled")
    }
  }

  fileprivate func send(text: String) {
    send(HTTPResponse(status: 200, type: "text/plain; charset=utf-8", text))
  }
}
