import AngelGrammar
import Testing

@testable import AngelServer

@Suite("Thoughts, text and calls are told apart")
struct ChatReaderTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var syntax: ToolCallSyntax?
    var thinks: Bool?
    let text: String
    let parts: [ChatPart]
    var hasOpened = false
    var testDescription: String { text }

    func reader() -> ChatReader {
      ChatReader(
        reasoning: thinks.map { ReasoningFormat(opener: "<think>", closer: "</think>", hasBegun: $0) }, syntax: syntax,
        names: ["now", "add"], hasOpened: hasOpened)
    }
  }

  private static func arguments(_ text: String) -> ChatPart { .arguments(Array(text.utf8)) }

  static let cases = [
    Case(text: "plain text\n", parts: [.content("plain text\n")]),
    Case(
      thinks: false, text: "<think>\nLet me see.\n</think>\n\nIt is 4.",
      parts: [.reasoning("Let me see."), .content("It is 4.")]),
    Case(thinks: true, text: "\nLet me\n\nsee.</think>4", parts: [.reasoning("Let me\n\nsee."), .content("4")]),
    Case(thinks: false, text: "It is <think>4", parts: [.content("It is <think>4")]),
    Case(thinks: true, text: "cut off </thi", parts: [.reasoning("cut off </thi")]),
    Case(
      syntax: .hermes, text: "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": [1, \"}\\\"\"]}}\n</tool_call>",
      parts: [.call(name: "now"), arguments(#"{"a": [1, "}\""]}"#)]),
    Case(
      syntax: .hermes,
      text:
        "Let me see.\n<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n<tool_call>\n{\"arguments\": {\"x\": 1}, \"name\": \"add\"}</tool_call> done",
      parts: [
        .content("Let me see."), .call(name: "now"), arguments("{}"), .call(name: "add"), arguments(#"{"x": 1}"#),
        .content(" done"),
      ]),
    Case(syntax: .hermes, text: "a < b and <tool_cal", parts: [.content("a < b and <tool_cal")]),
    Case(
      syntax: .hermes, text: "<tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call>",
      parts: [.content("<tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call>")]),
    Case(syntax: .hermes, text: "<tool_call>no call", parts: [.content("<tool_call>no call")]),
    Case(syntax: .hermes, text: "<tool_call>{\"name\": \"no", parts: [.content("<tool_call>{\"name\": \"no")]),
    Case(
      syntax: .hermes, text: "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"é",
      parts: [.call(name: "now"), arguments("{\"a\": \"é")]),
    Case(
      syntax: .hermes, text: #"<tool_call>{"name": "now", "arguments": "{\"a\": 1}"}</tool_call>"#,
      parts: [.call(name: "now"), arguments(#"{"a": 1}"#)]),
    // Null and nothing mean that there are none; what is no object is no call.
    Case(
      syntax: .hermes,
      text: #"<tool_call>{"name": "now", "arguments": null}</tool_call><tool_call>{"arguments": "", "name": "add"}"#,
      parts: [.call(name: "now"), arguments("{}"), .call(name: "add"), arguments("{}")]),
    Case(
      syntax: .hermes, text: #"<tool_call>{"name": "now", "arguments": [1]}</tool_call>"#,
      parts: [.content(#"<tool_call>{"name": "now", "arguments": [1]}</tool_call>"#)]),
    Case(
      syntax: .hermes, text: #"<tool_call>{"name": "now", "arguments": "x"}</tool_call>"#,
      parts: [.content(#"<tool_call>{"name": "now", "arguments": "x"}</tool_call>"#)]),
    Case(
      syntax: .hermes, text: #"<tool_call>{"arguments": 5, "name": "now"}</tool_call>"#,
      parts: [.content(#"<tool_call>{"arguments": 5, "name": "now"}</tool_call>"#)]),
    Case(
      syntax: .hermes, text: #"<tool_call>{"name": "now", "argu"#,
      parts: [.content(#"<tool_call>{"name": "now", "argu"#)]),
    Case(
      syntax: .hermes, text: #"<tool_call>{"name": "now"}</tool_call>"#, parts: [.call(name: "now"), arguments("{}")]),
    Case(
      syntax: .hermes, thinks: false,
      text:
        "<think>\nI call <tool_call>\n</think>\n\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
      parts: [.reasoning("I call <tool_call>"), .call(name: "now"), arguments("{}")]),
    Case(
      syntax: .mistral,
      text: #"[TOOL_CALLS][{"name": "now", "arguments": {}}, {"name": "add", "arguments": {"x": 2}}]"#,
      parts: [.call(name: "now"), arguments("{}"), .call(name: "add"), arguments(#"{"x": 2}"#)]),
    Case(
      syntax: .mistral, text: #" [{"name": "add", "arguments": {"x": 2}}]"#,
      parts: [.call(name: "add"), arguments(#"{"x": 2}"#)], hasOpened: true),
    Case(
      syntax: .llama3, text: #"{"name": "add", "parameters": {"x": 2}}; {"name": "now", "parameters": {}}"#,
      parts: [.call(name: "add"), arguments(#"{"x": 2}"#), .call(name: "now"), arguments("{}")]),
    Case(
      syntax: .llama3, text: #"<|python_tag|>{"type": "function", "name": "add", "parameters": {"x": 2}}"#,
      parts: [.call(name: "add"), arguments(#"{"x": 2}"#)]),
    Case(syntax: .llama3, text: #"{"a": 1} is JSON"#, parts: [.content(#"{"a": 1} is JSON"#)]),
    Case(syntax: .llama3, text: #"So {"name": "add"}"#, parts: [.content(#"So {"name": "add"}"#)]),
    Case(
      syntax: .hunyuan,
      text: "<tool_calls>[\n{\"name\": \"add\", \"arguments\": {\"x\": 2}}\n]</tool_calls>",
      parts: [.call(name: "add"), arguments(#"{"x": 2}"#)]),
  ]

  @Test("an answer's parts, in one piece, in two cut anywhere, and character by character", arguments: cases)
  func parts(_ example: Case) {
    #expect(Self.joined([example.text], example) == example.parts)
    #expect(Self.joined(example.text.map { String($0) }, example) == example.parts)
    for index in example.text.indices {
      let pieces = [String(example.text[..<index]), String(example.text[index...])]
      #expect(Self.joined(pieces, example) == example.parts, "cut after '\(pieces[0])'")
    }
  }

  private static func joined(_ pieces: [String], _ example: Case) -> [ChatPart] {
    var reader = example.reader()
    let all = pieces.flatMap { reader.append($0) } + reader.finish()
    return all.reduce(into: []) { parts, part in
      switch (parts.last, part) {
      case (.content(let before)?, .content(let text)): parts[parts.count - 1] = .content(before + text)
      case (.reasoning(let before)?, .reasoning(let text)): parts[parts.count - 1] = .reasoning(before + text)
      case (.arguments(let before)?, .arguments(let bytes)): parts[parts.count - 1] = .arguments(before + bytes)
      default: parts.append(part)
      }
    }
  }

  @Test("arguments are given out while they come")
  func streaming() {
    var reader = ChatReader(reasoning: nil, syntax: .hermes, names: ["now"])
    #expect(reader.append("<tool_call>{\"name\": \"now\", \"arguments\": ").isEmpty)
    #expect(reader.append("{\"a\"") == [.call(name: "now"), Self.arguments("{\"a\"")])
    #expect(reader.append(": 1}") == [Self.arguments(": 1}")])
    #expect(reader.append("}</tool_call>").isEmpty && reader.finish().isEmpty)
  }
}
