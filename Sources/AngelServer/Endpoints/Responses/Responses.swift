import AngelCore
import AngelHCF

/// `POST /v1/responses`: the assistant's next turn, as OpenAI's newer interface has it. Nothing is kept.
enum ResponsesEndpoint: Endpoint {
  static let path = "/v1/responses"
  static let summary = "The assistant's next turn as OpenAI's responses have it, whole or as a stream; nothing is kept"
  static let streamType: String? = "text/event-stream"
  static let fields: [RequestField] =
    [
      RequestField("model", .string, "which model; the server's first where left out"),
      RequestField("input", ResponseItems.kind, isRequired: true, "a text, or the items of a conversation"),
      RequestField("instructions", .string, "what stands before it"),
      RequestField("max_output_tokens", .integer(1...1 << 24), "the longest answer; default: what the context leaves"),
      RequestField("temperature", .number(0...100), "0 takes the likeliest token; default 1"),
      RequestField("top_p", .number(0...1), "keep the likeliest tokens of this total share; default 1"),
      RequestField("top_logprobs", .integer(0...20), "report log-probabilities, and so many likeliest in each place"),
      RequestField(
        "include", .array(.choice([logprobs, encrypted]), 0...16), "what else the answer has: log-probabilities"),
      RequestField("stream", .boolean, "send the answer as server-sent events while it is made"),
      RequestField(
        "stream_options",
        .object([.withoutEffect("include_obfuscation", .boolean, "streams are never padded")]), "what else a stream has"
      ),
      RequestField(
        "reasoning",
        .object([
          RequestField(
            "effort", .choice(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
            "none: no thoughts, where the model's template has a switch; others have no effect"),
          .withoutEffect("summary", .string, "thoughts are given whole"),
          .withoutEffect("generate_summary", .string, "thoughts are given whole"),
        ]), "whether to think first"),
      .refused("store", "nothing is kept", unless: [false]),
      .refused("previous_response_id", "nothing is kept: send the conversation as items of input"),
      .refused("conversation", "nothing is kept: send the conversation as items of input"),
      .refused("background", "an answer is made while the client waits", unless: [false]),
      .refused("prompt", "nothing is kept: send the text"),
      .refused("truncation", "what is too long is refused", unless: ["disabled"]),
      .withoutEffect("max_tool_calls", .integer(1...1 << 24), "tools are run by the client"),
      RequestField("metadata", .map(.string, limit: 16), "the answer has it again"),
      .withoutEffect("service_tier", .string, "requests are served as they come"),
      .withoutEffect("safety_identifier", .string, "requests are told apart by their key"),
      .withoutEffect("prompt_cache_key", .string, "prefixes are found by themselves"),
      .withoutEffect("prompt_cache_retention", .string, "prefixes are kept while there is room"),
      .withoutEffect("user", .string, "requests are told apart by their key"),
    ] + ResponseTools.fields

  private static let logprobs = "message.output_text.logprobs"
  private static let encrypted = "reasoning.encrypted_content"

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      let engine = try call.engine(of: use)
      let body = call.body
      var request = ChatRequest(messages: try ResponseItems.conversation(body).messages, field: "input")
      request.tools = try ResponseTools.read(body)
      request.format = ResponseTools.format(body)
      request.templateValues = try ThinkingSwitch.values(thinks(call), field: "reasoning.effort", engine)
      let chat = try ChatPlan(request, engine)
      let sampling = try sampling(call)
      let plan = try GenerationPlan(
        chat, sampling, limit: body.integer("max_output_tokens"), streams: body.flag("stream") ?? false, engine)
      if body.object("stream_options") != nil, !plan.streams {
        throw APIError.invalid("stream_options", "goes with \"stream\": true")
      }
      let form = ResponseForm(
        head: AnswerHead(call, model: use.name), reading: chat.reading,
        texts: sampling.logprobs == nil ? nil : TokenText(tokenizer: engine.tokenizer), asked: asked(body, sampling))
      try Generation.run(plan, form, use, call)
    }
  }

  /// Whether to think first; nil: as the model's template has it.
  private static func thinks(_ call: APICall) -> Bool? {
    let effort = call.body.object("reasoning")?["effort"]?.string
    if let effort, effort != "none" { call.ignore("reasoning.effort") }
    return effort == "none" ? false : nil
  }

  private static func sampling(_ call: APICall) throws(APIError) -> SamplingParameters {
    let body = call.body
    var sampling = SamplingParameters()
    sampling.temperature = body.number("temperature") ?? 1
    sampling.topP = body.number("top_p") ?? 1
    let included = body.array("include") ?? []
    if included.contains(.string(encrypted)) { call.ignore("include: \(encrypted)") }
    let count = body.integer("top_logprobs") ?? 0
    if included.contains(.string(logprobs)) || count > 0 { sampling.logprobs = count }
    return try SamplingFields.checked(sampling)
  }

  /// What the request asked for, as the answer says it again.
  private static func asked(_ body: RequestBody, _ sampling: SamplingParameters) -> JSONObject {
    JSONObject([
      ("metadata", body["metadata"] ?? [:]), ("instructions", body["instructions"] ?? nil),
      ("max_output_tokens", body["max_output_tokens"] ?? nil),
      ("parallel_tool_calls", .bool(body.flag("parallel_tool_calls") ?? true)),
      ("temperature", .number(Double(sampling.temperature.description) ?? 1)),
      ("top_p", .number(Double(sampling.topP.description) ?? 1)),
      ("top_logprobs", .integer(sampling.logprobs ?? 0)),
      ("text", ["format": body.object("text")?["format"] ?? ["type": "text"]]),
      ("tool_choice", body["tool_choice"] ?? "auto"), ("tools", body["tools"] ?? []),
      ("reasoning", ["effort": body.object("reasoning")?["effort"] ?? nil, "summary": nil]),
    ])
  }
}
