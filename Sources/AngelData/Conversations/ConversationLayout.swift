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
    var conversation = Conversation(messages: [])
    for (index, entry) in entries.enumerated() {
      var message: ChatMessage
      do { message = try ChatMessage(json: entry) } catch {
        throw .row(place: place, reason: "messages[\(index)]: \(error)")
      }
      let weight = try weight(&message, place: "\(place): messages[\(index)]")
      conversation.messages.append(message)
      conversation.weights.append(weight)
    }
    conversation.tools = object["tools"]?.array
    return conversation
  }

  /// `weight` (0 to 1) or `train` (true or false) of a turn, removed from what the template sees.
  private static func weight(_ message: inout ChatMessage, place: String) throws(DataError) -> Float {
    defer { message.extra["weight"] = nil; message.extra["train"] = nil }
    if let train = message.extra["train"] {
      guard let bool = train.bool else { throw .row(place: place, reason: "'train' must be true or false") }
      return bool ? 1 : 0
    }
    guard let weight = message.extra["weight"] else { return message.role == "assistant" ? 1 : 0 }
    guard let number = weight.double, (0...1000).contains(number) else {
      throw .row(place: place, reason: "'weight' must be a number from 0 to 1000")
    }
    return Float(number)
  }

  private static let shareGPTRoles = [
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "system": "system", "tool": "tool", "observation": "tool", "function_call": "assistant",
  ]

  private static func shareGPT(_ object: JSONObject, _ place: String) throws(DataError) -> Conversation {
    guard let turns = object["conversations"]?.array, !turns.isEmpty else {
      throw .row(place: place, reason: "'conversations' must be a list of turns")
    }
    var messages: [ChatMessage] = []
    if let system = object["system"]?.string, !system.isEmpty { messages.append(.init(role: "system", system)) }
    for (index, turn) in turns.enumerated() {
      guard let from = turn["from"]?.string, let value = turn["value"]?.string else {
        throw .row(place: place, reason: "conversations[\(index)] must have the texts 'from' and 'value'")
      }
      guard let role = shareGPTRoles[from] else {
        let known = shareGPTRoles.keys.sorted().joined(separator: ", ")
        throw .row(place: place, reason: "conversations[\(index)]: 'from' is \(quoted(from)), expected one of \(known)")
      }
      messages.append(from == "function_call" ? try toolCall(value, place, index) : .init(role: role, value))
    }
    return Conversation(messages: messages, tools: try tools(object["tools"], place))
  }

  /// A turn that calls a tool: its text is `{"name": …, "arguments": …}`.
  private static func toolCall(_ text: String, _ place: String, _ index: Int) throws(DataError) -> ChatMessage {
    guard let call = try? JSONValue(parsing: text.utf8, maximumDepth: 64), call["name"]?.string != nil else {
      throw .row(place: place, reason: "conversations[\(index)]: a function_call is {\"name\": …, \"arguments\": …}")
    }
    return ChatMessage(role: "assistant", content: .text(""), toolCalls: [["type": "function", "function": call]])
  }

  /// Tools as a list, or as a text that holds one.
  private static func tools(_ value: JSONValue?, _ place: String) throws(DataError) -> [JSONValue]? {
    switch value {
    case nil, .null, .string(""): return nil
    case .array(let tools): return tools.isEmpty ? nil : tools
    case .string(let text):
      guard let tools = (try? JSONValue(parsing: text.utf8, maximumDepth: 64))?.array else {
        throw .row(place: place, reason: "'tools' must be a JSON list")
      }
      return tools.isEmpty ? nil : tools
    default: throw .row(place: place, reason: "'tools' must be a list")
    }
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
