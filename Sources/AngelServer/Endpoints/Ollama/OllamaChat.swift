import AngelCore
import AngelHCF
import AngelText

/// `POST /api/chat`: the assistant's next turn, as Ollama has it.
enum OllamaChatEndpoint: Endpoint {
  static let path = "/api/chat"
  static let summary = "The assistant's next turn as Ollama has it, line by line or whole"
  static let streamType: String? = "application/x-ndjson"
  static let fields: [RequestField] =
    OllamaFields.answers + [
      RequestField(
        "messages",
        .array(
          .object([
            RequestField("role", .string, isRequired: true, "system, user, assistant, tool"),
            RequestField("content", .string, "the text"),
            RequestField("thinking", .string, "the assistant's thoughts, where the template keeps them apart"),
            RequestField("tool_name", .string, "the tool that answers"),
            RequestField("tool_call_id", .string, "the call that it answers"),
            RequestField("tool_calls", .array(call, 0...1000), "calls that the assistant made"),
            .refused("images", "models here read text", unless: [[]]),
          ]), 0...10_000),
        "the conversation, oldest first; without one the model is loaded, or with keep_alive 0 said to be unloaded"),
      ToolRequest.fields[0],
    ]

  private static let call = FieldKind.object([
    RequestField("id", .string, "its name"), RequestField("type", .choice(["function"]), "functions"),
    RequestField(
      "function",
      .object([
        RequestField("name", .string, isRequired: true, "the tool's name"),
        RequestField("arguments", .anyObject, isRequired: true, "the arguments"),
        RequestField("index", .integer(0...1 << 20), "its place among the calls"),
        RequestField("description", .string, "the tool's"),
      ]), isRequired: true, "the call"),
  ])

  static func respond(_ call: APICall) throws {
    let begin = MonotonicClock.seconds()
    let body = call.body
    let messages = body.array("messages") ?? []
    guard let last = messages.last else { return try call.answerWithoutWords(in: .message) }
    if last["role"] == "assistant" { throw APIError.beginningGiven("messages[\(messages.count - 1)].role") }
    try call.withOllamaModel { use in
      let engine = try call.engine(of: use)
      var request = ChatRequest(messages: conversation(messages))
      request.tools = try ToolRequest.make(body.array("tools") ?? [], choice: .auto, allowsSeveral: true)
      request.format = OllamaFields.format(body)
      request.remedy = "use /api/generate with \"raw\": true"
      request.templateValues = try ThinkingSwitch.values(OllamaFields.thinks(call), field: "think", engine)
      try call.answer(in: .message, ChatPlan(request, engine), use, engine, since: begin)
    }
  }

  private static func conversation(_ messages: [JSONValue]) -> [ChatMessage] {
    messages.map { json in
      var message = ChatMessage(role: json["role"]?.string ?? "", content: .absent)
      if let text = json["content"]?.string { message.content = .text(text) }
      message.reasoning = json["thinking"]?.string
      message.name = json["tool_name"]?.string
      message.toolCallID = json["tool_call_id"]?.string
      message.toolCalls = (json["tool_calls"]?.array ?? []).map { call in
        var object = call.object ?? JSONObject()
        object["type"] = "function"
        return .object(object)
      }
      return message
    }
  }
}

extension APICall {
  /// Queues what Ollama's body asks for of a conversation or text, and answers in its form.
  ///
  /// - Parameter begin: when the request came; what passed since was spent on loading the model.
  func answer(
    in place: OllamaForm.Place, _ chat: ChatPlan, _ use: ModelUse, _ engine: any ServingEngine, since begin: Double
  ) throws {
    let sampling = try OllamaFields.sampling(body)
    let plan = try GenerationPlan(
      chat, sampling, limit: OllamaFields.limit(body), streams: body.flag("stream") ?? true, engine)
    let form = OllamaForm(
      place: place, model: body.string("model") ?? use.name, reading: chat.reading,
      texts: TokenText(tokenizer: engine.tokenizer), reportsLogprobs: sampling.logprobs != nil,
      loadSeconds: MonotonicClock.seconds() - begin)
    try Generation.run(plan, form, use, self)
  }
}
