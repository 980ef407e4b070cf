import AngelCore
import AngelText

extension ConversationLayout {
  private static let shareGPTRoles = [
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "system": "system", "tool": "tool", "observation": "tool", "function_call": "assistant",
  ]

  /// Turns `{"from": …, "value": …}`. A `function_call` holds a call or a list of them; calls of turns that follow each
  /// other are one turn of the assistant, as their answers (`observation`) come together too.
  static func shareGPT(_ object: JSONObject, _ place: String) throws(DataError) -> Conversation {
    guard let turns = object["conversations"]?.array, !turns.isEmpty else {
      throw .row(place: place, reason: "'conversations' must be a list of turns")
    }
    var conversation = Conversation(messages: [], weights: [], tools: try ToolCalls.tools(object["tools"], place))
    if let system = object["system"]?.string, !system.isEmpty {
      conversation.append(.init(role: "system", system), weight: 0)
    }
    var followsCall = false
    for (index, turn) in turns.enumerated() {
      let place = "\(place): conversations[\(index)]"
      guard let fields = turn.object, let from = fields["from"]?.string, let value = fields["value"]?.string else {
        throw .row(place: place, reason: "a turn must have the texts 'from' and 'value'")
      }
      guard let role = shareGPTRoles[from] else {
        let known = shareGPTRoles.keys.sorted().joined(separator: ", ")
        throw .row(place: place, reason: "'from' is \(quoted(from)), expected one of \(known)")
      }
      let isCall = from == "function_call"
      if isCall, followsCall {
        conversation.messages[conversation.messages.count - 1].toolCalls += try ToolCalls.calls(value, place)
      } else {
        let message: ChatMessage =
          isCall
          ? .init(role: role, content: .text(""), toolCalls: try ToolCalls.calls(value, place))
          : .init(role: role, value)
        conversation.append(message, weight: try TurnWeight.of(fields, role: role, place))
      }
      followsCall = isCall
    }
    return conversation
  }
}
