import AngelCore
import AngelTesting

@testable import AngelServer

/// A conversation with thoughts and tool calls, for the dialects that have them.
enum Dialogue {
  /// A chat template that shows everything a message has, takes tools, and has a switch for thoughts.
  static let template = """
    {% if enable_thinking is defined %}thinking {{ enable_thinking }};{% endif %}\
    {% for t in tools or [] %}tool {{ t.function.name }};{% endfor %}\
    {% for m in messages %}{{ m.role }}{% if m.name %} {{ m.name }}{% endif %}:\
    {% if m.reasoning_content %} ({{ m.reasoning_content }}){% endif %}{% if m.content %} {{ m.content }}{% endif %}\
    {% for c in m.tool_calls or [] %} {{ c.function.name }} {{ c.function.arguments.city }}{% endfor %};\
    {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}{# <think> </think> <tool_call> #}
    """
  /// Thoughts, a text and two calls.
  static let script =
    "<think>\nhm\n</think>\nI ask.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>"
    + "\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"

  static func server(_ script: String = script) throws -> RunningServer {
    try RunningServer(ScriptedEngine(script, template: template))
  }

  /// What the official clients send: Scripts/goldens/client_requests.py.
  static func recorded(_ call: String) throws -> (path: String, body: String?) {
    let requests = try Goldens.json("clients/requests.json")["requests"]?.array ?? []
    guard let request = requests.first(where: { $0["call"] == .string(call) }) else { return ("", nil) }
    let body = request["body"]?.object.map { JSONValue.object($0).encoded() }
    return (request["path"]?.string ?? "", body)
  }
}

extension RunningServer {
  /// Asks what an official client was recorded to ask.
  func ask(recorded call: String) throws -> HTTPClient.Response {
    let (path, body) = try Dialogue.recorded(call)
    return try ask(body == nil ? "GET" : "POST", path, body)
  }

  /// The prompts that the engine was given, as text.
  var prompts: [String] {
    get throws { try engine.requests.map { try engine.tokenizer.decode($0.prompt, skippingSpecialTokens: false) } }
  }
}

extension HTTPClient.Response {
  /// A named event of a stream.
  struct Event {
    let name: String
    let json: JSONValue
  }

  /// The events of a stream in which each has a name.
  var events: [Event] {
    get throws {
      try text.split(separator: "\n\n").map { block in
        let lines = block.split(separator: "\n", maxSplits: 1)
        return Event(
          name: String(lines[0].dropFirst(7)), json: try JSONValue(parsing: Array(lines[1].dropFirst(6).utf8)))
      }
    }
  }

  /// The lines of a stream of JSON.
  var lines: [JSONValue] {
    get throws { try text.split(separator: "\n").map { try JSONValue(parsing: Array($0.utf8)) } }
  }
}

extension Sequence<String> {
  /// Without the repetitions that stand behind one another.
  var withoutRepetitions: [String] {
    reduce(into: []) { if $0.last != $1 { $0.append($1) } }
  }
}
