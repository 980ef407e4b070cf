import AngelCore
import AngelHCF
import AngelText

/// `POST /v1/chat/completions`: the assistant's next turn.
enum ChatCompletionsEndpoint: Endpoint {
  static let path = "/v1/chat/completions"
  static let summary = "The assistant's next turn in a conversation, whole or as a stream"
  static let streamType: String? = "text/event-stream"
  static let fields: [RequestField] =
    [
      RequestField("model", .string, "which model; the server's first where left out"),
      RequestField(
        "messages", .array(.object(ChatMessages.fields), 1...10_000), isRequired: true, "the conversation, oldest first"
      ),
      RequestField(
        "max_completion_tokens", .integer(1...1 << 24), "the longest answer; default: what the context leaves"),
      RequestField("logprobs", .boolean, "report the log-probability of each token"),
      RequestField("top_logprobs", .integer(0...20), "and of so many likeliest in each place"),
      RequestField("add_generation_prompt", .boolean, "whether the prompt ends where the assistant begins (vLLM)"),
      RequestField("chat_template_kwargs", .anyObject, "further variables of the model's chat template (vLLM)"),
      .refused("functions", "use tools", unless: [[]]),
      .refused("function_call", "use tool_choice", unless: ["none", "auto"]),
      .refused("modalities", "answers are text", unless: [["text"]]), .refused("audio", "answers are text"),
      .refused("prediction", "answers are not predicted"), .refused("web_search_options", "nothing is looked up"),
      .refused("reasoning_effort", "use chat_template_kwargs, as the model's template has it"),
      .refused("verbosity", "say so in a message", unless: ["medium"]),
      .refused("store", "nothing is kept", unless: [false]),
      .withoutEffect("metadata", .map(.string, limit: 16), "nothing is kept"),
      .withoutEffect("service_tier", .string, "use priority"),
      .withoutEffect("safety_identifier", .string, "requests are told apart by their key"),
      .withoutEffect("prompt_cache_key", .string, "prefixes are found by themselves"),
      .withoutEffect("prompt_cache_retention", .string, "prefixes are kept while there is room"),
      .refused("echo", "use /v1/completions", unless: [false]),
      .refused("continue_final_message", "use /v1/completions with the text so far", unless: [false]),
      .refused("chat_template", "the model's own is used"), .refused("documents", "put them into messages"),
      .refused("prompt_logprobs", "use /v1/completions with echo"),
    ] + ToolRequest.fields + SamplingFields.all

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      let engine = try call.engine(of: use)
      let body = call.body
      var request = try ChatMessages.request(body)
      request.tools = try ToolRequest.read(body)
      request.format = try FormatFields.asked(body)
      let chat = try ChatPlan(request, engine)
      var plan = try GenerationPlan(
        chat, try SamplingFields.parameters(body, vocabularySize: engine.vocabularySize), limit: try limit(body),
        answerCount: body.integer("n") ?? 1, streams: body.flag("stream") ?? false, engine)
      try plan.read(body)
      let reports = body.flag("logprobs") ?? false
      if reports {
        plan.sampling.logprobs = body.integer("top_logprobs") ?? 0
      } else if body.integer("top_logprobs") ?? 0 > 0 {
        throw APIError.invalid("top_logprobs", "goes with \"logprobs\": true")
      }
      let form = ChoicesForm(
        head: AnswerHead(call, model: use.name), plan: plan,
        entries: ChatForm(
          texts: TokenText(tokenizer: engine.tokenizer), reportsLogprobs: reports, reading: chat.reading))
      try Generation.run(plan, form, use, call)
    }
  }

  /// The longest answer, by its newer or its older name.
  private static func limit(_ body: RequestBody) throws(APIError) -> Int? {
    let (new, old) = (body.integer("max_completion_tokens"), body.integer("max_tokens"))
    if let new, let old, new != old {
      throw .invalid("max_tokens", "is \(old), 'max_completion_tokens' is \(new): give one of them")
    }
    let limit = new ?? old
    if limit == 0 { throw .invalid("max_tokens", "must be at least 1") }
    return limit
  }
}
