import AngelCore
import AngelText

/// Puts a conversation together for a model's chat template from the finer pieces that other dialects than OpenAI's chat have:
/// blocks, calls and their answers. Pieces of one speaker that follow each other become one turn, with line ends between texts.
struct Conversation {
  /// A turn whose texts are joined at the end, once: a body may have many thousands of pieces.
  private struct Turn {
    var message: ChatMessage
    var texts: [String] = []
    var thoughts: [String] = []

    var whole: ChatMessage {
      var message = message
      if !texts.isEmpty { message.content = .text(texts.joined(separator: "\n")) }
      if !thoughts.isEmpty { message.reasoning = thoughts.joined(separator: "\n") }
      return message
    }
  }

  private var turns: [Turn] = []
  /// The tools' names by their calls'.
  private var callNames: [String: String] = [:]

  var isEmpty: Bool { turns.isEmpty }
  /// The turns, put together anew each time.
  var messages: [ChatMessage] { turns.map(\.whole) }

  /// Text of anybody.
  mutating func add(_ role: String, text: String) { extend(role) { $0.texts.append(text) } }

  /// Thoughts of the assistant.
  mutating func add(reasoning text: String) { extend("assistant") { $0.thoughts.append(text) } }

  /// A call that the assistant made.
  mutating func addCall(id: String?, name: String, arguments: JSONValue) {
    var call = JSONObject([
      ("type", "function"), ("function", ["name": .string(name), "arguments": arguments]),
    ])
    if let id {
      call["id"] = .string(id)
      callNames[id] = name
    }
    extend("assistant") { $0.message.toolCalls.append(.object(call)) }
  }

  /// What a tool answered: always a turn of its own, under the tool's name where the call has come before.
  mutating func addResult(of call: String?, text: String) {
    let name = call.flatMap { callNames[$0] }
    turns.append(Turn(message: ChatMessage(role: "tool", content: .text(text), name: name, toolCallID: call)))
  }

  private mutating func extend(_ role: String, _ change: (inout Turn) -> Void) {
    if turns.last?.message.role != role {
      turns.append(Turn(message: ChatMessage(role: role, content: .absent)))
    }
    change(&turns[turns.count - 1])
  }
}
