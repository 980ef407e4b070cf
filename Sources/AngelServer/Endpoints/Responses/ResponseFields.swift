import AngelCore
import AngelHCF

/// The items of a Responses request, and the conversation they say.
enum ResponseItems {
  private static let id = RequestField.withoutEffect("id", .string, "items are not kept")
  private static let status = RequestField.withoutEffect("status", .string, "an item says what it says")
  private static let inputText = ObjectVariant(
    "input_text", [RequestField("text", .string, isRequired: true, "the text")])
  private static let unread: [ObjectVariant] = [
    .refused("input_image", "models here read text"), .refused("input_file", "models here read text"),
    .refused("input_audio", "models here read text"),
  ]
  /// Parts of messages: what users write and what the assistant has answered.
  private static let content = FieldKind.oneOf([
    .string,
    .array(
      .variants(
        [
          inputText,
          ObjectVariant(
            "output_text",
            [
              RequestField("text", .string, isRequired: true, "the text"),
              .refused("annotations", "answers cite nothing", unless: [[]]),
              .withoutEffect("logprobs", .array(.anyObject, 0...1 << 20), "a text is a text"),
            ]), .refused("refusal", "put it into a text"),
        ] + unread), 0...1000),
  ])

  static let kind = FieldKind.oneOf([
    .string,
    .array(
      .variants(
        [
          ObjectVariant(
            "message",
            [
              RequestField(
                "role", .choice(["user", "assistant", "system", "developer"]), isRequired: true, "who speaks"),
              RequestField("content", content, isRequired: true, "a text, or parts of one"), id, status,
              .withoutEffect("phase", .string, "templates do not know it"),
            ]),
          ObjectVariant(
            "function_call",
            [
              RequestField("call_id", .string, isRequired: true, "the call's name"),
              RequestField("name", .string, isRequired: true, "the tool's"),
              RequestField("arguments", .string, isRequired: true, "JSON"), id, status,
            ]),
          ObjectVariant(
            "function_call_output",
            [
              RequestField("call_id", .string, isRequired: true, "the call it belongs to"),
              RequestField(
                "output", .oneOf([.string, .array(.variants([inputText] + unread), 0...1000)]), isRequired: true,
                "what the tool said"), id, status,
            ]),
          ObjectVariant(
            "reasoning",
            [
              RequestField(
                "content",
                .array(
                  .variants([
                    ObjectVariant("reasoning_text", [RequestField("text", .string, isRequired: true, "thoughts")])
                  ]), 0...1000), "the assistant's thoughts"),
              .refused("summary", "thoughts are given whole, in content", unless: [[]]),
              .refused("encrypted_content", "thoughts are not encrypted"), id, status,
            ]), .refused("item_reference", "nothing is kept: send the item itself"),
        ], mayLackType: true), 1...10_000),
  ])

  /// The conversation that instructions and items say.
  static func conversation(_ body: RequestBody) throws(APIError) -> Conversation {
    var conversation = Conversation()
    if let text = body.string("instructions") { conversation.add("system", text: text) }
    if let text = body.string("input") { conversation.add("user", text: text) }
    for item in body.array("input") ?? [] { add(item, to: &conversation) }
    guard !conversation.isEmpty else { throw .invalid("input", "says nothing: give a text or a message") }
    return conversation
  }

  private static func add(_ item: JSONValue, to conversation: inout Conversation) {
    switch item["type"]?.string {
    case "function_call"?:
      conversation.addCall(
        id: item["call_id"]?.string, name: item["name"]?.string ?? "",
        arguments: CallArguments.forTemplate(item["arguments"]?.string ?? ""))
    case "function_call_output"?:
      conversation.addResult(of: item["call_id"]?.string, text: text(item["output"]))
    case "reasoning"?:
      let thoughts = text(item["content"])
      if !thoughts.isEmpty { conversation.add(reasoning: thoughts) }
    default:
      let role = item["role"]?.string ?? ""
      // Templates do not know developers.
      conversation.add(role == "developer" ? "system" : role, text: text(item["content"]))
    }
  }

  private static func text(_ content: JSONValue?) -> String {
    content?.string ?? (content?.array ?? []).compactMap { $0["text"]?.string }.joined(separator: "\n")
  }
}

/// The tools of a Responses request, and what its answer must be.
enum ResponseTools {
  static let fields: [RequestField] = [
    RequestField(
      "tools",
      .array(
        .variants(
          [
            ObjectVariant(
              "function",
              [
                RequestField("name", .string, isRequired: true, "what calls name it by"),
                RequestField("description", .string, "what it is for, for the model"),
                RequestField("parameters", .anyObject, "a JSON Schema of its arguments"),
                RequestField(
                  "strict", .boolean, "calls keep to the schema even where none has to be made; default false"),
              ])
          ]
            + [
              "web_search", "web_search_preview", "file_search", "mcp", "code_interpreter", "computer_use_preview",
              "image_generation", "local_shell", "custom",
            ].map { .refused($0, "tools are functions that the client runs") }), 0...1024),
      "functions that the model may call, where its template knows how"),
    RequestField(
      "tool_choice",
      .oneOf([
        .choice(["none", "auto", "required"]),
        .variants([ObjectVariant("function", [RequestField("name", .string, isRequired: true, "the one to call")])]),
      ]), "whether a tool must be called, and which; default auto"),
    RequestField("parallel_tool_calls", .boolean, "whether several calls may be made at once; default true"),
    RequestField(
      "text",
      .object([
        RequestField(
          "format",
          .variants([
            ObjectVariant("text"), ObjectVariant("json_object"),
            ObjectVariant(
              "json_schema",
              [
                RequestField("schema", .anyObject, isRequired: true, "what the answer must be"),
                .withoutEffect("name", .string, "schemas are told apart by what they say"),
                .withoutEffect("description", .string, "the model does not see it"),
                RequestField("strict", .boolean, "the answer keeps to the schema either way"),
              ]),
          ]), "text, a JSON object, or JSON that a schema accepts"),
        .refused("verbosity", "say so in a message", unless: ["medium"]),
      ]), "what the answer must be"),
  ]

  static func read(_ body: RequestBody) throws(APIError) -> ToolRequest? {
    let json = (body.array("tools") ?? []).map { tool -> JSONValue in
      var function = tool.object ?? JSONObject()
      function["type"] = nil
      return ["type": "function", "function": .object(function)]
    }
    let choice: ToolRequest.Choice? =
      switch (body.object("tool_choice")?["name"]?.string, body.string("tool_choice")) {
      case (let name?, _): .named(name)
      case (nil, "none"?): nil
      case (nil, "required"?): .required
      default: .auto
      }
    return try ToolRequest.make(
      json, choice: choice, allowsSeveral: body.flag("parallel_tool_calls") ?? true,
      paths: ToolRequest.Paths(name: "name", parameters: "parameters", strict: "strict", chosen: "tool_choice.name"))
  }

  static func format(_ body: RequestBody) -> FormatFields.Asked? {
    let format = body.object("text")?["format"]
    switch format?["type"]?.string {
    case "json_object"?: return FormatFields.Asked(format: .jsonObject, field: "text.format")
    case "json_schema"?:
      return FormatFields.Asked(format: .jsonSchema(format?["schema"] ?? nil), field: "text.format.schema")
    default: return nil
    }
  }
}
