import AngelCore
import AngelHCF

/// `POST /v1/messages`: the assistant's next turn, as Anthropic's interface has it.
enum MessagesEndpoint: Endpoint {
  static let path = "/v1/messages"
  static let summary = "The assistant's next turn as Anthropic's interface has it, whole or as a stream"
  static let streamType: String? = "text/event-stream"
  static let fields: [RequestField] =
    MessageFields.all + [
      RequestField("max_tokens", .integer(1...1 << 24), isRequired: true, "the longest answer in tokens"),
      RequestField("stop_sequences", .array(.string, 0...64), "end the answer before any of these texts"),
      RequestField("temperature", .number(0...100), "0 takes the likeliest token; default 1"),
      RequestField("top_p", .number(0...1), "keep the likeliest tokens of this total share; default 1"),
      RequestField("top_k", .integer(0...1 << 24), "keep the k likeliest tokens; 0 keeps all"),
      RequestField("stream", .boolean, "send the answer as server-sent events while it is made"),
      .withoutEffect(
        "metadata", .object([RequestField("user_id", .string, "who asks")]), "requests are told apart by their key"),
      .withoutEffect("service_tier", .choice(["auto", "standard_only"]), "keys have limits"),
      .refused("container", "nothing is run"), .refused("speed", "there is one", unless: ["standard"]),
    ]

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      let engine = try call.engine(of: use)
      let body = call.body
      let chat = try ChatPlan(MessageFields.request(body, engine), engine)
      let plan = try GenerationPlan(
        chat, try sampling(body), limit: body.integer("max_tokens"), streams: body.flag("stream") ?? false, engine)
      let form = MessageForm(
        head: AnswerHead(call, model: use.name), reading: chat.reading, promptCount: chat.tokens.count)
      try Generation.run(plan, form, use, call)
    }
  }

  private static func sampling(_ body: RequestBody) throws(APIError) -> SamplingParameters {
    var sampling = SamplingParameters()
    sampling.temperature = body.number("temperature") ?? 1
    sampling.topP = body.number("top_p") ?? 1
    sampling.topK = body.integer("top_k") ?? 0
    sampling.stop = body.strings("stop_sequences")
    return try SamplingFields.checked(sampling) { $0 == "stop" ? "stop_sequences" : $0 }
  }
}

/// `POST /v1/messages/count_tokens`: what a conversation takes as a prompt.
enum CountTokensEndpoint: Endpoint {
  static let path = "/v1/messages/count_tokens"
  static let summary = "How many tokens a conversation takes as a prompt of /v1/messages"
  static let fields = MessageFields.all

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      let engine = try call.engine(of: use)
      let count = try ChatPlan(MessageFields.request(call.body, engine), engine).tokens.count
      call.note { $0.promptTokens = count }
      call.send { ["input_tokens": .integer(count)] }
    }
  }
}
