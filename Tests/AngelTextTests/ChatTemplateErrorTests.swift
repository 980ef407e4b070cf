import AngelCore
import Testing

@testable import AngelText

@Suite("Chat template errors and messages")
struct ChatTemplateErrorTests {
  private func error(_ source: String, _ messages: [ChatMessage] = []) -> ChatTemplateError? {
    do throws(ChatTemplateError) {
      _ = try ChatTemplate(source).render(messages: messages)
      return nil
    } catch {
      return error
    }
  }

  @Test(
    "what is not supported is named with its line",
    arguments: [
      ("a\n{% include 'x' %}", 2, "the statement 'include'"), ("{{ 1|urlize }}", 1, "the filter 'urlize'"),
      ("\n\n{{ 1 is odder }}", 3, "the test 'odder'"),
      ("{% for x in y recursive %}{% endfor %}", 1, "a recursive loop"),
      ("\n{{ 'a'.encode('utf-8') }}", 2, "the string method 'encode'"),
      ("{{ '\\N{DASH}' }}", 1, "the string escape '\\N{…}'"),
    ])
  func unsupported(_ source: String, _ line: Int, _ construct: String) {
    #expect(error(source) == .unsupported(line: line, construct: construct))
  }

  @Test(
    "an error names its line",
    arguments: [
      ("a\nb\n{{ missing.x }}", 3, "'missing' is undefined"),
      ("{{\n\n1 / 0 }}", 3, "division by zero"),
      ("{% macro m(x) %}\n{{ x.y.z }}\n{% endmacro %}\n{{ m({}) }}", 2, "'dict object' has no attribute 'y'"),
      ("{{ messages[0].content }}", 1, "'list object' has no element 0"),
      ("{{ [].append(1) }}", 1, "access to attribute 'append' of 'list object' is unsafe: values cannot be changed"),
      ("{{ 2 ** 63 }}", 1, "an integer does not fit 64 bits"),
      ("{{ 9223372036854775807 + 1 }}", 1, "an integer does not fit 64 bits"),
    ])
  func evaluation(_ source: String, _ line: Int, _ reason: String) {
    #expect(error(source) == .evaluation(line: line, reason: reason))
  }

  @Test("a syntax error names its line and what was expected")
  func syntax() {
    #expect(
      error("\n{% if true %}\nx")
        == .syntax(line: 3, reason: "the template ends, expected '{% elif %}' or '{% else %}' or '{% endif %}'"))
    #expect(error("{{ 1 2 }}") == .syntax(line: 1, reason: "expected '}}', found '2'"))
  }

  @Test("raise_exception shows the template's own message")
  func raised() {
    let source = "{{ raise_exception('roles must alternate, not ' + messages[0].role) }}"
    let failure = error(source, [ChatMessage(role: "assistant", "x")])
    #expect(failure == .raised(message: "roles must alternate, not assistant"))
    #expect(failure?.description == "the chat template refused the conversation: roles must alternate, not assistant")
  }

  @Test("messages, tools and tokens reach the template under their usual names")
  func variables() throws {
    let template = try ChatTemplate(
      "{{ bos_token }}{% for m in messages %}{{ m|tojson }}{% endfor %}{{ tools|tojson }}{{ add_generation_prompt }}"
        + "{{ eos_token }}{{ enable_thinking }}")
    let call: JSONValue = ["type": "function", "function": ["name": "f", "arguments": ["x": 1]]]
    let messages = [
      ChatMessage(role: "user", "é"), ChatMessage(role: "assistant", content: .absent, toolCalls: [call]),
      ChatMessage(role: "tool", content: .parts([["type": "text", "text": "r"]]), name: "f", toolCallID: "1"),
    ]
    let text = try template.render(
      messages: messages, tools: [["name": "f"]], addsGenerationPrompt: false, beginToken: "<s>", endToken: "</s>",
      extra: JSONObject([("enable_thinking", true)]))
    let expected =
      #"<s>{"role": "user", "content": "é"}{"role": "assistant", "tool_calls": [{"type": "function", "function": "#
      + #"{"name": "f", "arguments": {"x": 1}}}]}{"role": "tool", "content": [{"type": "text", "text": "r"}], "#
      + #""name": "f", "tool_call_id": "1"}[{"name": "f"}]False</s>True"#
    #expect(text == expected)
  }

  @Test("a message survives its JSON form")
  func roundTrip() throws {
    let json = try JSONValue(
      parsing:
        #"{"role":"assistant","content":null,"name":"n","reasoning_content":"r","tool_calls":[{"id":"1"}],"#
        + #""tool_call_id":"c","prefix":true}"#
    )
    let message = try ChatMessage(json: json)
    #expect(message.json == json)
    #expect(message.extra["prefix"] == true)
  }

  @Test(
    "a message without a role or with a content of the wrong type is refused",
    arguments: ["{}", "[]", #"{"role":1}"#, #"{"role":"user","content":5}"#])
  func badMessage(_ text: String) throws {
    let json = try JSONValue(parsing: text)
    #expect(throws: ChatTemplateError.self) { try ChatMessage(json: json) }
  }
}
