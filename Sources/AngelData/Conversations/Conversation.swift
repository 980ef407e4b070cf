public import AngelCore
public import AngelText

/// A row to learn from: turns, the weight of each in the loss, and the tools the assistant may call.
public struct Conversation: Sendable, Hashable {
  public var messages: [ChatMessage]
  /// One weight a message: 0 is read but not learnt. The assistant's turns have 1 unless the row says otherwise.
  public var weights: [Float]
  public var tools: [JSONValue]?

  public init(messages: [ChatMessage], weights: [Float]? = nil, tools: [JSONValue]? = nil) {
    self.messages = messages
    self.weights = weights ?? messages.map { $0.role == "assistant" ? 1 : 0 }
    self.tools = tools
  }

  mutating func append(_ message: ChatMessage, weight: Float) {
    messages.append(message)
    weights.append(weight)
  }
}
