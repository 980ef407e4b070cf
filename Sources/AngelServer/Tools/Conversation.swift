import AngelCore
import AngelText

/// Puts a conversation together for a model's chat template from the finer pieces that other dialects than OpenAI's chat have:
/// blocks, calls and their answers. Pieces of one speaker that follow each other become one turn, with line ends between texts.
struct Conversation {
  private(set) var messages: [ChatMessage] = []

  /// Text of anybody.
  mutating func add(_ role: String, text: String) {
    extend(role) { message in
      guard case .text(let before) = message.content else { return message.content = .text(text) }
      message.content = .text(before + "\n" + text)
    }
  }

  /// Thoughts of the assistant.
  mutating func add(reasoning text: String) {
    extend("assistant") { $0.reasoning = ($0.reasoning.map { $0 + "\n" } ?? "") + text }
  }

  /// A call that the assistant made.
  mutating func addCall(id: String?, name: String, arguments: JSONValue) {
    var call = JSONObject([
      ("type", "function"), ("function", ["name": .string(name), "arguments": arguments]),
    ])
    if let id { call["id"] = .string(id) }
    extend("assistant") { $0.toolCalls.append(.object(call)) }
  }

  /// What a tool answered: always a turn of its own.
  mutating func addResult(of call: String?, tool: String? = nil, text: String) {
    messages.append(ChatMessage(role: "tool", content: .text(text), name: tool, toolCallID: call))
  }

  private mutating func extend(_ role: String, _ change: (inout ChatMessage) -> Void) {
    if messages.last?.role != role { messages.append(ChatMessage(role: role, content: .absent)) }
    change(&messages[messages.count - 1])
  }
}
