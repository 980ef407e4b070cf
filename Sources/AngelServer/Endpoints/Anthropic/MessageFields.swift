import AngelCore
import AngelHCF
import AngelText

/// The fields that Anthropic's messages and their count share, and the conversation they say.
enum MessageFields {
  private static let cacheControl = RequestField.withoutEffect(
    "cache_control", .anyObject, "prefixes are found by themselves")
  private static let text = ObjectVariant(
    "text",
    [
      RequestField("text", .string, isRequired: true, "the text"), cacheControl,
      .refused("citations", "answers cite nothing", unless: [[]]),
    ])
  private static let otherBlocks: [ObjectVariant] = [
    .refused("image", "models here read text"), .refused("document", "models here read text"),
    .refused("search_result", "put it into a text"), .refused("redacted_thinking", "it says nothing to other models"),
  ]
  private static let block = FieldKind.variants(
    [
      text,
      ObjectVariant(
        "thinking",
        [
          RequestField("thinking", .string, isRequired: true, "the assistant's thoughts"),
          RequestField("signature", .string, "thoughts are not signed: any text"),
        ]),
      ObjectVariant(
        "tool_use",
        [
          RequestField("id", .string, isRequired: true, "the call's name"),
          RequestField("name", .string, isRequired: true, "the tool's"),
          RequestField("input", .anyObject, isRequired: true, "the arguments"), cacheControl,
          .refused("caller", "tools are called by the model", unless: [["type": "direct"]]),
        ]),
      ObjectVariant(
        "tool_result",
        [
          RequestField("tool_use_id", .string, isRequired: true, "the call it belongs to"),
          RequestField(
            "content", .oneOf([.string, .array(.variants([text] + otherBlocks), 0...1000)]), "what the tool said"),
          RequestField("is_error", .boolean, "the tool failed: its answer begins with 'Error: '"), cacheControl,
        ]),
    ] + otherBlocks)

  static let all: [RequestField] = [
    RequestField("model", .string, "which model; the server's first where left out"),
    RequestField(
      "messages",
      .array(
        .object([
          RequestField("role", .choice(["user", "assistant", "system"]), isRequired: true, "who speaks"),
          RequestField(
            "content", .oneOf([.string, .array(block, 1...1000)]), isRequired: true, "a text, or blocks of one turn"),
        ]), 1...10_000), isRequired: true, "the conversation, oldest first"),
    RequestField("system", .oneOf([.string, .array(.variants([text]), 0...1000)]), "what stands before it"),
    RequestField(
      "tools",
      .array(
        .variants(
          [
            ObjectVariant(
              "custom",
              [
                RequestField("name", .string, isRequired: true, "what calls name it by"),
                RequestField("description", .string, "what it is for, for the model"),
                RequestField("input_schema", .anyObject, isRequired: true, "a JSON Schema of its arguments"),
                RequestField("strict", .boolean, "calls keep to the schema even where none has to be made"),
                cacheControl,
                .withoutEffect("eager_input_streaming", .boolean, "arguments are always streamed as they come"),
                .refused("defer_loading", "there is no search for tools", unless: [false]),
              ])
          ], mayLackType: true), 0...1024), "functions that the model may call, where its template knows how"),
    RequestField(
      "tool_choice",
      .variants([
        ObjectVariant("auto", [several]), ObjectVariant("any", [several]), ObjectVariant("none"),
        ObjectVariant("tool", [RequestField("name", .string, isRequired: true, "the tool to call"), several]),
      ]), "whether a tool must be called, and which; default auto"),
    RequestField(
      "thinking",
      .variants([
        ObjectVariant("enabled", [.withoutEffect("budget_tokens", .integer(0...1 << 24), "use max_tokens"), display]),
        ObjectVariant("adaptive", [display]), ObjectVariant("disabled"),
      ]), "whether to think first, where the model's template has a switch; default: as the template has it"),
    RequestField(
      "output_config",
      .object([
        RequestField(
          "format",
          .variants([
            ObjectVariant(
              "json_schema", [RequestField("schema", .anyObject, isRequired: true, "what the answer must be")])
          ]), "JSON that a schema accepts"),
        .withoutEffect("effort", .string, "the model decides"),
      ]), "what the answer must be"),
    cacheControl,
  ]

  private static let several = RequestField(
    "disable_parallel_tool_use", .boolean, "whether one call is the most that may be made")
  private static let display = RequestField.refused(
    "display", "thoughts are shown as they are", unless: ["summarized"])

  /// The conversation that a checked body wants to go on.
  static func request(_ body: RequestBody, _ engine: any ServingEngine) throws(APIError) -> ChatRequest {
    var conversation = Conversation()
    if let system = texts(body["system"]) { conversation.add("system", text: system) }
    let messages = body.array("messages") ?? []
    for (index, message) in messages.enumerated() {
      let role = message["role"]?.string ?? ""
      for (place, block) in blocks(message["content"]).enumerated() {
        let type = block["type"]?.string ?? ""
        if let speaker = speakers[type], speaker != role {
          throw .invalid(
            "messages[\(index)].content[\(place)].type", "is '\(type)', which goes with role '\(speaker)'")
        }
        add(block, of: role, to: &conversation)
      }
    }
    if messages.last?["role"] == "assistant" {
      throw .beginningGiven("messages[\(messages.count - 1)].role")
    }
    var request = ChatRequest(messages: conversation.messages)
    request.tools = try tools(body)
    request.templateValues = try ThinkingSwitch.values(thinks(body), field: "thinking.type", engine)
    if let schema = body.object("output_config")?["format"]?["schema"] {
      request.format = FormatFields.Asked(format: .jsonSchema(schema), field: "output_config.format.schema")
    }
    return request
  }

  /// Who alone may say a block of a type.
  private static let speakers = ["thinking": "assistant", "tool_use": "assistant", "tool_result": "user"]

  private static func blocks(_ content: JSONValue?) -> [JSONValue] {
    content?.string.map { [["type": "text", "text": .string($0)]] } ?? content?.array ?? []
  }

  /// A text, or the texts of blocks on lines of their own; nil where there is none.
  private static func texts(_ content: JSONValue?) -> String? {
    let texts = blocks(content).compactMap { $0["text"]?.string }
    return texts.isEmpty ? nil : texts.joined(separator: "\n")
  }

  private static func add(_ block: JSONValue, of role: String, to conversation: inout Conversation) {
    switch block["type"]?.string {
    case "thinking"?: conversation.add(reasoning: block["thinking"]?.string ?? "")
    case "tool_use"?:
      conversation.addCall(
        id: block["id"]?.string, name: block["name"]?.string ?? "", arguments: block["input"] ?? [:])
    case "tool_result"?:
      let text = texts(block["content"]) ?? ""
      conversation.addResult(
        of: block["tool_use_id"]?.string, text: block["is_error"] == true ? "Error: " + text : text)
    default: conversation.add(role, text: block["text"]?.string ?? "")
    }
  }

  private static func thinks(_ body: RequestBody) -> Bool? {
    switch body.object("thinking")?["type"]?.string {
    case "enabled"?: true
    case "disabled"?: false
    default: nil
    }
  }

  private static func tools(_ body: RequestBody) throws(APIError) -> ToolRequest? {
    let json = (body.array("tools") ?? []).map { tool -> JSONValue in
      var function = JSONObject([("name", tool["name"] ?? "")])
      for (name, own) in [("description", "description"), ("parameters", "input_schema"), ("strict", "strict")] {
        if let value = tool[own], !value.isNull { function[name] = value }
      }
      return ["type": "function", "function": .object(function)]
    }
    let asked = body.object("tool_choice")
    let choice: ToolRequest.Choice? =
      switch asked?["type"]?.string {
      case "any"?: .required
      case "none"?: nil
      case "tool"?: .named(asked?["name"]?.string ?? "")
      default: .auto
      }
    return try ToolRequest.make(
      json, choice: choice, allowsSeveral: asked?["disable_parallel_tool_use"] != true,
      paths: ToolRequest.Paths(
        name: "name", parameters: "input_schema", strict: "strict", chosen: "tool_choice.name",
        single: "tool_choice.disable_parallel_tool_use"))
  }
}
