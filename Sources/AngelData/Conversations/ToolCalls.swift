import AngelCore
import AngelText

/// Tools and their calls as data sets write them, brought to the form of the chat-completions format, which is what chat
/// templates are written for.
enum ToolCalls {
  /// The tools of a row: a list or a text that holds one, each `{"type": "function", "function": {…}}` or what stands
  /// under `function` alone. Nil where there are none.
  static func tools(_ value: JSONValue?, _ place: String) throws(DataError) -> [JSONValue]? {
    let list: [JSONValue]
    switch value {
    case nil, .null: return nil
    case .array(let tools): list = tools
    case .string(let text):
      guard text.utf8.contains(where: { !Space.holds($0) }) else { return nil }
      guard let tools = parsed(text)?.array else { throw .row(place: place, reason: "'tools' must be a JSON list") }
      list = tools
    case let other?: throw .row(place: place, reason: "'tools' must be a list, not \(other.kind)")
    }
    var tools: [JSONValue] = []
    for (index, tool) in list.enumerated() {
      guard let object = tool.object else {
        throw .row(place: place, reason: "tools[\(index)] must be an object, not \(tool.kind)")
      }
      let isBare =
        object["function"] == nil && object["name"] != nil && object["type"]?.string ?? "function" == "function"
      tools.append(isBare ? ["type": "function", "function": tool] : tool)
    }
    return tools.isEmpty ? nil : tools
  }

  /// The calls of one text: `{"name": …, "arguments": …}`, or a list of such.
  static func calls(_ text: String, _ place: String) throws(DataError) -> [JSONValue] {
    let value = parsed(text)
    let list = value?.array ?? value.map { [$0] } ?? []
    guard !list.isEmpty, list.allSatisfy({ $0["name"]?.string != nil }) else {
      throw .row(place: place, reason: "a function_call is {\"name\": …, \"arguments\": …} or a list of such")
    }
    var calls: [JSONValue] = []
    for call in list { calls.append(try normalized(["type": "function", "function": call], place)) }
    return calls
  }

  /// A call with its arguments as an object: many data sets have them as a text, which a template would quote again.
  static func normalized(_ call: JSONValue, _ place: String) throws(DataError) -> JSONValue {
    guard var object = call.object, var function = (object["function"] ?? call).object,
      function["name"]?.string != nil
    else { throw .row(place: place, reason: "a tool call is {\"function\": {\"name\": …, \"arguments\": …}}") }
    if let text = function["arguments"]?.string {
      guard let arguments = text.isEmpty ? [:] : parsed(text) else {
        throw .row(place: place, reason: "the arguments of a tool call are not JSON: \(quoted(text))")
      }
      function["arguments"] = arguments
    }
    guard object["function"] != nil else { return .object(function) }
    object["function"] = .object(function)
    return .object(object)
  }

  private static func parsed(_ text: String) -> JSONValue? { try? JSONValue(parsing: text.utf8, maximumDepth: 64) }
}
