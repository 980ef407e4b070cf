public import AngelCore
import AngelText

/// How the rows of a file write a conversation.
public enum ConversationLayout: String, CaseIterable, ConfigurationChoice {
  /// `{"messages": [{"role": …, "content": …}]}`, as in the chat-completions format.
  case messages
  /// `{"conversations": [{"from": "human", "value": …}]}`.
  case sharegpt
  /// `{"instruction": …, "input": …, "output": …}`, with an optional `system` and `history`.
  case alpaca
  /// `{"prompt": …, "completion": …}` or `{"question": …, "answer": …}`.
  case pair

  /// The layout of a row, by its keys; throws naming the keys found and those expected.
  public static func detect(_ row: JSONValue, at place: String) throws(DataError) -> ConversationLayout {
    guard let object = row.object else { throw .row(place: place, reason: "a row must be an object, not \(row.kind)") }
    if object["messages"]?.array != nil { return .messages }
    if object["conversations"]?.array != nil { return .sharegpt }
    if object["instruction"] != nil, object["output"] != nil { return .alpaca }
    if pairKeys.contains(where: { object[$0.0] != nil && object[$0.1] != nil }) { return .pair }
    let keys = object.members.map { quoted($0.key) }.joined(separator: ", ")
    throw .row(
      place: place,
      reason: "no known layout has the keys \(keys.isEmpty ? "(none)" : keys); expected 'messages', 'conversations', "
        + "'instruction' with 'output', or 'prompt' with 'completion'")
  }

  /// Every key that a layout reads.
  public static let keys: Set<String> = [
    "messages", "tools", "conversations", "system", "instruction", "input", "output", "history", "prompt", "completion",
    "response", "question", "answer",
  ]

  private static let pairKeys = [("prompt", "completion"), ("prompt", "response"), ("question", "answer")]

  /// The conversation of a row; throws naming the field that is wrong.
  public func conversation(_ row: JSONValue, at place: String) throws(DataError) -> Conversation {
    guard let object = row.object else { throw .row(place: place, reason: "a row must be an object, not \(row.kind)") }
    let conversation =
      switch self {
      case .messages: try Self.messages(object, place)
      case .sharegpt: try Self.shareGPT(object, place)
      case .alpaca: try Self.alpaca(object, place)
      case .pair: try Self.pair(object, place)
      }
    guard conversation.messages.contains(where: { $0.role == "assistant" }) else {
      throw .row(place: place, reason: "there is no turn of the assistant, so nothing to learn")
    }
    return conversation
  }

  private static func messages(_ object: JSONObject, _ place: String) throws(DataError) -> Conversation {
    guard let entries = object["messages"]?.array, !entries.isEmpty else {
      throw .row(place: place, reason: "'messages' must be a list of turns")
    }
    var conversation = Conversation(messages: [], weights: [], tools: try ToolCalls.tools(object["tools"], place))
    for (index, entry) in entries.enumerated() {
      let place = "\(place): messages[\(index)]"
      var message: ChatMessage
      do { message = try ChatMessage(json: entry) } catch { throw .row(place: place, reason: "\(error)") }
      // The form before tools had it so; a template would pass over it in silence.
      guard message.extra["function_call"]?.isNull ?? true, message.role != "function" else {
        throw .row(
          place: place, reason: "'function_call' and the role 'function' are not read: write 'tool_calls' and 'tool'")
      }
      for (call, value) in message.toolCalls.enumerated() {
        message.toolCalls[call] = try ToolCalls.normalized(value, "\(place): tool_calls[\(call)]")
      }
      let weight = try TurnWeight.of(message.extra, role: message.role, place)
      for key in TurnWeight.keys { message.extra[key] = nil }
      conversation.append(message, weight: weight)
    }
    return conversation
  }

  private static func alpaca(_ object: JSONObject, _ place: String) throws(DataError) -> Conversation {
    func text(_ key: String) throws(DataError) -> String {
      guard let value = object[key], !value.isNull else { return "" }
      guard let text = value.string else { throw .row(place: place, reason: "'\(key)' must be a text") }
      return text
    }
    var messages: [ChatMessage] = []
    let system = try text("system")
    if !system.isEmpty { messages.append(.init(role: "system", system)) }
    for (index, pair) in (object["history"]?.array ?? []).enumerated() {
      guard let turns = pair.array, turns.count == 2, let question = turns[0].string, let answer = turns[1].string
      else { throw .row(place: place, reason: "history[\(index)] must be a pair of texts") }
      messages += [.init(role: "user", question), .init(role: "assistant", answer)]
    }
    let (instruction, input) = (try text("instruction"), try text("input"))
    messages.append(.init(role: "user", input.isEmpty ? instruction : instruction + "\n" + input))
    messages.append(.init(role: "assistant", try text("output")))
    return Conversation(messages: messages)
  }

  private static func pair(_ object: JSONObject, _ place: String) throws(DataError) -> Conversation {
    for (question, answer) in pairKeys {
      guard let prompt = object[question], let completion = object[answer] else { continue }
      guard let prompt = prompt.string, let completion = completion.string else {
        throw .row(place: place, reason: "'\(question)' and '\(answer)' must be texts")
      }
      return Conversation(messages: [.init(role: "user", prompt), .init(role: "assistant", completion)])
    }
    throw .row(place: place, reason: "expected 'prompt' with 'completion'")
  }
}
