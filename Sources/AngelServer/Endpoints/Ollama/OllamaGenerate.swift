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
      RequestField(
        "prompt", .string, "the text; without one the model is loaded, or with keep_alive 0 said to be unloaded"),
      RequestField("system", .string, "what stands before it"),
      RequestField("raw", .boolean, "go on with the text as it is, without the model's chat template"),
      .refused("suffix", "text is continued, not filled in", unless: [""]),
      .refused("template", "the model's own is used", unless: [""]),
      .refused("context", "send the conversation to /api/chat", unless: [[]]),
      .refused("images", "models here read text", unless: [[]]),
    ]

  static func respond(_ call: APICall) throws {
    let begin = MonotonicClock.seconds()
    guard let prompt = call.body.string("prompt"), !prompt.isEmpty else {
      return try call.answerWithoutWords(in: .response)
    }
    try call.withOllamaModel { use in
      let engine = try call.engine(of: use)
      try call.answer(in: .response, plan(prompt, call, use, engine), use, engine, since: begin)
    }
  }

  private static func plan(
    _ prompt: String, _ call: APICall, _ use: ModelUse, _ engine: any ServingEngine
  ) throws -> ChatPlan {
    let body = call.body
    let thinks = OllamaFields.thinks(call)
    let system = body.string("system") ?? ""
    let format = OllamaFields.format(body)
    if body.flag("raw") ?? false {
      guard system.isEmpty else { throw APIError.invalid("system", "does not go with \"raw\": put it into the prompt") }
      guard thinks != true else { throw APIError.invalid("think", "does not go with \"raw\"") }
      return ChatPlan(
        tokens: try use.model.tokens(of: prompt), constraint: try format?.constraint(engine), field: "prompt")
    }
    let messages = (system.isEmpty ? [] : [ChatMessage(role: "system", system)]) + [ChatMessage(role: "user", prompt)]
    var request = ChatRequest(messages: messages, format: format, field: "prompt")
    request.remedy = "say \"raw\": true, and the text goes on as it is"
    request.templateValues = try ThinkingSwitch.values(thinks, field: "think", engine)
    return try ChatPlan(request, engine)
  }
}
