public import AngelCore

/// One turn of a conversation, as chat templates see it.
public struct ChatMessage: Sendable, Hashable {
  /// What a turn says.
  public enum Content: Sendable, Hashable {
    /// The key `content` is left out, as in a turn that only calls tools.
    case absent
    /// The key is there and null.
    case null
    case text(String)
    /// Typed parts, such as `{"type": "text", "text": …}`.
    case parts([JSONValue])
  }

  /// `system`, `user`, `assistant`, `tool` or whatever the template knows.
  public var role: String
  public var content: Content
  public var name: String?
  /// Calls the assistant made: `{"type": "function", "function": {"name": …, "arguments": {…}}}`.
  public var toolCalls: [JSONValue]
  /// For a tool's answer, the call it belongs to.
  public var toolCallID: String?
  /// The assistant's thoughts, where the template keeps them apart (`reasoning_content`).
  public var reasoning: String?
  /// Further keys, passed through in this order.
  public var extra: JSONObject

  public init(
    role: String, content: Content, name: String? = nil, toolCalls: [JSONValue] = [], toolCallID: String? = nil,
    reasoning: String? = nil, extra: JSONObject = JSONObject()
  ) {
    self.role = role
    self.content = content
    self.name = name
    self.toolCalls = toolCalls
    self.toolCallID = toolCallID
    self.reasoning = reasoning
    self.extra = extra
  }

  /// A turn of plain text.
  public init(role: String, _ text: String) { self.init(role: role, content: .text(text)) }
}

extension ChatMessage {
  /// The message as the JSON object of the chat-completions format; empty fields are left out.
  public var json: JSONValue {
    var object = JSONObject([("role", .string(role))])
    switch content {
    case .absent: break
    case .null: object["content"] = .null
    case .text(let text): object["content"] = .string(text)
    case .parts(let parts): object["content"] = .array(parts)
    }
    if let name { object["name"] = .string(name) }
    if let reasoning { object["reasoning_content"] = .string(reasoning) }
    if !toolCalls.isEmpty { object["tool_calls"] = .array(toolCalls) }
    if let toolCallID { object["tool_call_id"] = .string(toolCallID) }
    for member in extra.members { object[member.key] = member.value }
    return .object(object)
  }

  /// Reads a message of the chat-completions format. Unknown keys go to `extra`.
  public init(json: JSONValue) throws(ChatTemplateError) {
    guard let object = json.object else { throw .message(reason: "expected an object, found \(json.kind)") }
    guard let role = object["role"]?.string else { throw .message(reason: "'role' must be a string") }
    self.init(role: role, content: .absent)
    for member in object.members where member.key != "role" { try read(member.key, member.value) }
  }

  private mutating func read(_ key: String, _ value: JSONValue) throws(ChatTemplateError) {
    switch (key, value) {
    case ("content", .null): content = .null
    case ("content", .string(let text)): content = .text(text)
    case ("content", .array(let parts)): content = .parts(parts)
    case ("content", _): throw .message(reason: "'content' must be a string, an array or null, not \(value.kind)")
    case ("name", .string(let text)): name = text
    case ("reasoning_content", .string(let text)): reasoning = text
    case ("tool_call_id", .string(let text)): toolCallID = text
    case ("tool_calls", .array(let calls)): toolCalls = calls
    case ("name", .null), ("reasoning_content", .null), ("tool_call_id", .null), ("tool_calls", .null): break
    case ("name", _), ("reasoning_content", _), ("tool_call_id", _):
      throw .message(reason: "'\(key)' must be a string, not \(value.kind)")
    case ("tool_calls", _): throw .message(reason: "'tool_calls' must be an array, not \(value.kind)")
    default: extra[key] = value
    }
  }
}
