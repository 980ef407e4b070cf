import AngelCore
import AngelHCF

/// `POST /v1/completions`: what follows a text.
enum CompletionsEndpoint: Endpoint {
  static let path = "/v1/completions"
  static let summary =
    "What follows a text or a list of tokens; with echo and logprobs also how likely the text itself is"
  static let fields: [RequestField] =
    [
      RequestField("model", .string, "which model; the server's first where left out"),
      RequestField("prompt", PromptField.kind, isRequired: true, "a text, token ids, or several of either"),
      RequestField("echo", .boolean, "begin the answer with the prompt"),
      RequestField("logprobs", .integer(0...20), "report log-probabilities, and so many likeliest in each place"),
      .refused("suffix", "text is continued, not filled in", unless: [""]),
      .refused("best_of", "use n and choose", unless: [1]),
      .refused("prompt_logprobs", "use echo with logprobs"),
      .refused("add_special_tokens", "give token ids for full control", unless: [true]),
    ] + SamplingFields.all

  static let streamType: String? = "text/event-stream"

  /// As OpenAI has it: without `max_tokens` an answer is short.
  static let defaultLength = 16

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      let engine = try call.engine(of: use)
      let body = call.body
      let echoes = body.flag("echo") ?? false
      let prompts = try PromptField.prompts(body, "prompt", use.model, withText: echoes)
      let limit = body.integer("max_tokens") ?? defaultLength
      guard limit > 0 || echoes else { throw APIError.invalid("max_tokens", "may be 0 only with \"echo\": true") }
      var plan = try GenerationPlan(
        prompts, from: "prompt", try SamplingFields.parameters(body, vocabularySize: engine.vocabularySize),
        limit: limit, answerCount: body.integer("n") ?? 1, streams: body.flag("stream") ?? false, engine)
      try plan.read(body)
      plan.constraint = try FormatFields.asked(body)?.constraint(engine)
      plan.echoes = echoes
      plan.sampling.logprobs = body.integer("logprobs")
      if echoes { plan.promptLogprobs = plan.sampling.logprobs }
      let form = ChoicesForm(
        head: AnswerHead(call, model: use.name), plan: plan,
        entries: CompletionForm(
          texts: TokenText(tokenizer: engine.tokenizer), reportsLogprobs: plan.sampling.logprobs != nil))
      try Generation.run(plan, form, use, call)
    }
  }
}

/// A field with a text, token ids, or several of either.
enum PromptField {
  private static let token = FieldKind.integer(0...Int(Int32.max))
  static let kind = FieldKind.oneOf([
    .string, .array(.string, 1...2048), .array(token, 1...1 << 20), .array(.array(token, 1...1 << 20), 1...2048),
  ])

  /// The prompts in a field that has been checked; with their texts where those are wanted.
  static func prompts(
    _ body: RequestBody, _ field: String, _ model: LoadedModel, withText: Bool = false
  ) throws -> [GenerationPlan.Prompt] {
    switch body[field] {
    case .string(let text)?: return [try prompt(text, model)]
    case .array(let values)? where values.first?.string != nil:
      return try values.compactMap(\.string).map { try prompt($0, model) }
    case .array(let values)? where values.first?.array != nil:
      return try values.compactMap(\.array).map { try prompt($0, model, withText: withText) }
    case .array(let values)?: return [try prompt(values, model, withText: withText)]
    default: return []
    }
  }

  private static func prompt(_ text: String, _ model: LoadedModel) throws -> GenerationPlan.Prompt {
    GenerationPlan.Prompt(tokens: try model.tokens(of: text), text: text)
  }

  private static func prompt(_ values: [JSONValue], _ model: LoadedModel, withText: Bool) throws
    -> GenerationPlan.Prompt
  {
    let tokens = values.compactMap(\.integer).map { Int32($0) }
    return GenerationPlan.Prompt(
      tokens: tokens,
      text: withText ? try TokenIDs.text(tokens, model.tokenizer, skippingSpecialTokens: false) : "")
  }
}
