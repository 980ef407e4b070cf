import AngelText
import Testing

@testable import AngelServer

/// Turns for templates, put together from finer pieces.
@Suite("Conversations from pieces")
struct ConversationTests {
  @Test("pieces of one speaker are one turn, with line ends between texts, and thoughts apart")
  func turns() {
    var conversation = Conversation()
    #expect(conversation.isEmpty)
    conversation.add("system", text: "S")
    conversation.add("user", text: "a")
    conversation.add("user", text: "")
    conversation.add("user", text: "b")
    conversation.add(reasoning: "hm")
    conversation.add(reasoning: "so")
    conversation.addCall(id: "c", name: "f", arguments: ["x": 1])
    conversation.add("assistant", text: "I ask.")
    let call = ChatMessage(
      role: "assistant", content: .text("I ask."),
      toolCalls: [["type": "function", "function": ["name": "f", "arguments": ["x": 1]], "id": "c"]],
      reasoning: "hm\nso")
    #expect(
      conversation.messages == [ChatMessage(role: "system", "S"), ChatMessage(role: "user", "a\n\nb"), call])
  }

  @Test("a turn that only calls has no content, and each result is a turn under its tool's name where that is known")
  func results() {
    var conversation = Conversation()
    conversation.addCall(id: "c", name: "f", arguments: [:])
    conversation.addCall(id: "d", name: "g", arguments: [:])
    conversation.addResult(of: "d", text: "1")
    conversation.addResult(of: "c", text: "2")
    conversation.addResult(of: "other", text: "3")
    let messages = conversation.messages
    #expect(messages.map(\.role) == ["assistant", "tool", "tool", "tool"])
    #expect(messages[0].content == .absent && messages[0].toolCalls.count == 2)
    #expect(messages[1...].map(\.name) == ["g", "f", nil])
    #expect(messages[1...].map(\.toolCallID) == ["d", "c", "other"])
  }

  /// Joining at each piece would copy 400 GB here.
  @Test("a long text with many pieces behind it is joined once")
  func manyPieces() {
    let (text, count) = (String(repeating: "x", count: 4 << 20), 100_000)
    var conversation = Conversation()
    conversation.add("user", text: text)
    conversation.add(reasoning: text)
    for _ in 0..<count { conversation.add(reasoning: "") }
    conversation.add("user", text: text)
    for _ in 0..<count { conversation.add("user", text: "") }
    let messages = conversation.messages
    let long = text + String(repeating: "\n", count: count)
    #expect(messages.count == 3 && messages[1].reasoning == long && messages[2].content == .text(long))
  }
}
