public import AngelCore

/// A model's chat template: Jinja2 as chat templates use it, parsed once and rendered many times.
///
/// The dialect is the one Transformers sets up: trimmed blocks, loop controls, an immutable sandbox, `tojson` that
/// keeps non-ASCII text, `raise_exception` and `strftime_now`. Source → tokens → syntax tree → text; each stage is a
/// value.
public struct ChatTemplate: Sendable {
  /// The template as given.
  public let source: String
  private let body: [TemplateStatement]

  /// Parses `source`; statements and expressions may nest 100 deep.
  public init(_ source: String) throws(ChatTemplateError) {
    self.source = source
    var lexer = TemplateLexer(source)
    var parser = TemplateParser(tokens: try lexer.tokens())
    self.body = try parser.template()
  }

  /// The prompt for a conversation.
  ///
  /// - Parameters:
  ///   - messages: the turns, oldest first.
  ///   - tools: JSON schemas of callable tools; nil becomes `none`.
  ///   - addsGenerationPrompt: whether the prompt ends where the assistant begins to speak.
  ///   - beginToken: text of the model's beginning-of-sequence token, `bos_token` to the template.
  ///   - endToken: likewise `eos_token`.
  ///   - extra: further variables such as `enable_thinking`; they win over the ones above.
  ///   - now: seconds since 1970, shown in UTC by `strftime_now`; nil is the clock's local time.
  public func render(
    messages: [ChatMessage], tools: [JSONValue]? = nil, addsGenerationPrompt: Bool = true, beginToken: String = "",
    endToken: String = "", extra: JSONObject = JSONObject(), limits: ChatTemplateLimits = ChatTemplateLimits(),
    now: Int? = nil
  ) throws(ChatTemplateError) -> String {
    var variables = JSONObject([
      ("messages", .array(messages.map(\.json))), ("tools", tools.map { .array($0) } ?? .null), ("documents", .null),
      ("add_generation_prompt", .bool(addsGenerationPrompt)), ("bos_token", .string(beginToken)),
      ("eos_token", .string(endToken)),
    ])
    for member in extra.members { variables[member.key] = member.value }
    return try render(variables, limits: limits, now: now)
  }

  /// The text of the template for any variables.
  public func render(
    _ variables: JSONObject, limits: ChatTemplateLimits = ChatTemplateLimits(), now: Int? = nil
  ) throws(ChatTemplateError) -> String {
    var evaluator = TemplateEvaluator(limits: limits, now: now)
    return try evaluator.render(body, variables: variables)
  }
}
