import AngelCore
import AngelHCF
import AngelText

/// `POST /api/generate`: an answer to a text, as Ollama has it; with `raw`, what follows it.
enum OllamaGenerateEndpoint: Endpoint {
  static let path = "/api/generate"
  static let summary = "An answer to a text as Ollama has it; with raw, what follows the text"
  static let streamType: String? = "application/x-ndjson"
  static let fields: [RequestField] =
    OllamaFields.answers + [
      RequestField("prompt", .string, "the text; without one the model is loaded"),
      RequestField("system", .string, "what stands before it"),
      RequestField("raw", .boolean, "go on with the text as it is, without the model's chat template"),
      .refused("suffix", "text is continued, not filled in", unless: [""]),
      .refused("template", "the model's own is used", unless: [""]),
      .refused("context", "send the conversation to /api/chat", unless: [[]]),
      .refused("images", "models here read text", unless: [[]]),
    ]

  static func respond(_ call: APICall) throws {
    let begin = MonotonicClock.seconds()
    try call.withOllamaModel { use in
      let engine = try call.engine(of: use)
      guard let prompt = call.body.string("prompt"), !prompt.isEmpty else {
        return call.send { OllamaForm.loaded(.response, model: call.body.string("model") ?? "") }
      }
      try call.answer(in: .response, plan(prompt, call.body, use, engine), use, engine, since: begin)
    }
  }

  private static func plan(
    _ prompt: String, _ body: RequestBody, _ use: ModelUse, _ engine: any ServingEngine
  ) throws -> ChatPlan {
    let system = body.string("system") ?? ""
    let format = OllamaFields.format(body)
    if body.flag("raw") ?? false {
      guard system.isEmpty else { throw APIError.invalid("system", "does not go with \"raw\": put it into the prompt") }
      guard body.flag("think") != true else { throw APIError.invalid("think", "does not go with \"raw\"") }
      return ChatPlan(
        tokens: try use.model.tokens(of: prompt), constraint: try format?.constraint(engine), field: "prompt")
    }
    let messages = (system.isEmpty ? [] : [ChatMessage(role: "system", system)]) + [ChatMessage(role: "user", prompt)]
    var request = ChatRequest(messages: messages, format: format, field: "prompt")
    request.templateValues = try ThinkingSwitch.values(body.flag("think"), field: "think", engine)
    return try ChatPlan(request, engine)
  }
}
