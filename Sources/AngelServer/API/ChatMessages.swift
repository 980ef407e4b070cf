import AngelCore
import AngelHCF
import AngelText

/// The messages of OpenAI's chat requests, and the prompt that a model's template makes of messages.
enum ChatMessages {
  static let fields: [RequestField] = [
    RequestField("role", .string, isRequired: true, "system, user, assistant, or what the template knows"),
    RequestField(
      "content",
      .oneOf([
        .string,
        .array(
          .object([
            RequestField("type", .choice(["text"]), isRequired: true, "only text"),
            RequestField("text", .string, isRequired: true, "the text"),
          ]), 0...1000),
      ]), "a text, or parts of one, which are put on lines of their own"),
    RequestField("name", .string, "who speaks, where the template shows it"),
    RequestField("reasoning_content", .string, "the assistant's thoughts, where the template keeps them apart"),
    RequestField("tool_call_id", .string, "the call that a tool's answer belongs to"),
    RequestField(
      "tool_calls", .array(.anyObject, 0...1000), "calls that the assistant made, as the template writes them"),
    .withoutEffect("refusal", .string, "templates do not know it"), .refused("audio", "messages are text"),
    .refused("function_call", "use tool_calls"),
  ]

  /// A conversation as a model's template writes it.
  struct Prompt {
    let text: String
    let tokens: [Int32]
  }

  /// A conversation with the tools that may be called. Throws `APIError` naming what is wrong.
  static func prompt(_ request: ChatRequest, _ engine: any ServingEngine) throws(APIError) -> Prompt {
    guard let template = engine.chatTemplate else {
      throw APIError(
        status: 400, "this model's files have no chat template: \(request.remedy)", parameter: request.field,
        code: "no_chat_template")
    }
    var extra = request.templateValues
    extra["messages"] = nil
    let tokenizer = engine.tokenizer
    do {
      let text = try template.render(
        messages: request.messages, tools: request.tools?.json, addsGenerationPrompt: request.addsGenerationPrompt,
        beginToken: spelling(tokenizer.beginToken, tokenizer), endToken: spelling(tokenizer.endToken, tokenizer),
        extra: extra)
      return Prompt(
        text: text, tokens: try tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: true))
    } catch {
      throw .invalid(request.field, "cannot be written as this model expects: \(error)")
    }
  }

  private static func spelling(_ token: Int32?, _ tokenizer: Tokenizer) -> String {
    guard let token, let bytes = try? tokenizer.bytes(of: token) else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The conversation of a body with OpenAI's fields, beside tools and format.
  static func request(_ body: RequestBody) throws(APIError) -> ChatRequest {
    var request = ChatRequest(messages: try messages(body))
    request.templateValues = body.object("chat_template_kwargs") ?? JSONObject()
    request.addsGenerationPrompt = body.flag("add_generation_prompt") ?? true
    return request
  }

  private static func messages(_ body: RequestBody) throws(APIError) -> [ChatMessage] {
    var messages: [ChatMessage] = []
    for (index, value) in (body.array("messages") ?? []).enumerated() {
      do throws(ChatTemplateError) {
        var message = try ChatMessage(json: value)
        message.extra["refusal"] = nil
        // Templates that know parts are rare, and those that do not would show them as Python lists.
        if case .parts(let parts) = message.content {
          message.content = .text(parts.compactMap { $0.object?["text"]?.string }.joined(separator: "\n"))
        }
        message.toolCalls = message.toolCalls.map(withArgumentsAsObject)
        messages.append(message)
      } catch {
        throw .invalid("messages[\(index)]", "is no message: \(error)")
      }
    }
    return messages
  }

  /// A call with its arguments as an object: OpenAI's interface has them as a text.
  private static func withArgumentsAsObject(_ call: JSONValue) -> JSONValue {
    guard var object = call.object, var function = object["function"]?.object,
      let text = function["arguments"]?.string
    else { return call }
    function["arguments"] = CallArguments.forTemplate(text)
    object["function"] = .object(function)
    return .object(object)
  }
}
