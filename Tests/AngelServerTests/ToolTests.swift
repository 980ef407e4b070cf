import AngelCore
import AngelGrammar
import AngelTesting
import Testing

@testable import AngelServer

/// Tool calls and thoughts through a socket, from a scripted answer.
@Suite("Tools over HTTP")
struct ToolTests {
  private static let template = """
    {% if tools %}{% for t in tools %}tool {{ t.function.name }} <tool_call></tool_call>
    {% endfor %}{% endif %}{% for m in messages %}{{ m.role }}: {% if m.content %}{{ m.content }}{% endif %}\
    {% for c in m.tool_calls or [] %}{{ c.function.name }} {{ c.function.arguments.city }}{% endfor %}
    {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}{# <think> </think> #}
    """
  private static let tools =
    #""tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object","#
    + #""properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}},"#
    + #"{"type":"function","function":{"name":"now"}}]"#
  private static let message = #""messages":[{"role":"user","content":"Hi"}]"#
  private static let script =
    "<think>\nhm\n</think>\nI ask.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>"
    + "\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"

  private func server(_ script: String = ToolTests.script) throws -> RunningServer {
    try RunningServer(ScriptedEngine(script, template: Self.template))
  }

  @Test("an answer with thoughts, text and two calls is told apart")
  func whole() throws {
    let answer = try server().post("/v1/chat/completions", "{\(Self.message),\(Self.tools)}").json
    let choice = try #require(answer["choices"]?.array?.first)
    #expect(choice["finish_reason"] == "tool_calls")
    let message = try #require(choice["message"])
    #expect(message["content"] == "I ask." && message["reasoning_content"] == "hm")
    let calls = try #require(message["tool_calls"]?.array)
    #expect(calls.map { $0["function"]?["name"] } == ["weather", "now"])
    #expect(calls.map { $0["function"]?["arguments"] } == [#"{"city": "Köln"}"#, "{}"])
    #expect(calls.allSatisfy { $0["id"]?.string?.utf8.count == 9 && $0["type"] == "function" })
    #expect(calls[0]["id"] != calls[1]["id"])
  }

  @Test("a stream gives each call's name once and its arguments in pieces, which together are the whole")
  func stream() throws {
    let answer = try server().post("/v1/chat/completions", "{\(Self.message),\(Self.tools),\"stream\":true}")
    let blocks = answer.text.split(separator: "\n\n").dropLast()
    let choices = try blocks.map { try JSONValue(parsing: String($0.dropFirst(6)))["choices"]?.array?.first ?? .null }
    var (content, reasoning, names, arguments) = ("", "", [String](), ["", ""])
    for delta in choices.compactMap({ $0["delta"] }) {
      content += delta["content"]?.string ?? ""
      reasoning += delta["reasoning_content"]?.string ?? ""
      for call in delta["tool_calls"]?.array ?? [] {
        if let name = call["function"]?["name"]?.string {
          names.append(name)
          #expect(call["id"]?.string?.utf8.count == 9 && call["index"]?.integer == names.count - 1)
        }
        arguments[call["index"]?.integer ?? 0] += call["function"]?["arguments"]?.string ?? ""
      }
    }
    #expect(content == "I ask." && reasoning == "hm" && names == ["weather", "now"])
    #expect(arguments == [#"{"city": "Köln"}"#, "{}"])
    #expect(choices.last?["finish_reason"] == "tool_calls")
    let pieces = choices.filter { $0["delta"]?["tool_calls"]?.array?[0]["index"] == 0 }
    #expect(pieces.count > 3)
  }

  @Test("with tool_choice none, or without tools, what looks like a call is text")
  func none() throws {
    for extra in [",\(Self.tools),\"tool_choice\":\"none\"", ""] {
      let answer = try server("a <tool_call>").post("/v1/chat/completions", "{\(Self.message)\(extra)}").json
      #expect(answer["choices"]?.array?[0]["message"]?["content"] == "a <tool_call>")
      #expect(answer["choices"]?.array?[0]["finish_reason"] == "stop")
    }
  }

  @Test("the template gets the tools, and the calls of earlier turns with their arguments as objects")
  func prompt() throws {
    let running = try server()
    let messages =
      #""messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","#
      + #""type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bonn\"}"}}]},"#
      + #"{"role":"tool","tool_call_id":"a","content":"rain"}]"#
    _ = try running.post("/v1/chat/completions", "{\(messages),\(Self.tools)}")
    let prompt = try running.engine.tokenizer.decode(running.engine.requests[0].prompt, skippingSpecialTokens: false)
    #expect(
      prompt == "tool weather <tool_call></tool_call>\ntool now <tool_call></tool_call>\n"
        + "user: Hiassistant: weather Bonntool: rainassistant:")
  }

  @Test("required and named calls, and strict tools, constrain the answer by their schemas; others do not")
  func constraints() throws {
    func constraint(_ extra: String, tools: String = ToolTests.tools) throws -> TokenConstraint? {
      let running = try server()
      let answer = try running.post("/v1/chat/completions", "{\(Self.message),\(tools)\(extra)}")
      #expect(answer.status == 200, "\(answer.text)")
      return running.engine.requests.first?.constraint
    }
    func accepts(_ constraint: TokenConstraint?, _ text: String) throws -> Bool {
      var matcher = TokenMatcher(try #require(constraint))
      return matcher.accept(Array(text.utf8)) && matcher.canEnd
    }
    let weather = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bonn\"}}\n</tool_call>"
    let wrong = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"town\": \"Bonn\"}}\n</tool_call>"
    let now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"any\": [1]}}\n</tool_call>"
    #expect(try constraint("") == nil)
    let required = try constraint(#","tool_choice":"required""#)
    #expect(try accepts(required, weather) && accepts(required, "\(now)\n\(weather)"))
    #expect(try accepts(required, "<think>\nwell\n</think>\n\n\(now)"))
    #expect(try !accepts(required, "text") && !accepts(required, wrong) && !accepts(required, "a \(now)"))
    let single = try constraint(#","tool_choice":"required","parallel_tool_calls":false"#)
    #expect(try accepts(single, weather) && !accepts(single, "\(now)\n\(weather)"))
    let named = try constraint(#","tool_choice":{"type":"function","function":{"name":"weather"}}"#)
    #expect(try accepts(named, weather) && !accepts(named, now))
    let alone = try constraint(#","parallel_tool_calls":false"#)
    #expect(try accepts(alone, "text") && accepts(alone, "I ask.\n\(wrong)") && !accepts(alone, "\(now)\n\(weather)"))
    #expect(try constraint(#","parallel_tool_calls":true"#) == nil)
    let strict = try constraint(
      "", tools: Self.tools.replacing(#""description":"d""#, with: #""strict":true"#))
    #expect(try accepts(strict, "any text <tool_cal") && accepts(strict, "I ask.\n\(weather)") && accepts(strict, now))
    #expect(
      try !accepts(strict, "I ask.\n\(wrong)")
        && !accepts(strict, wrong.replacing("<tool_call>\n", with: "<tool_call>")))
  }

  @Test("what tools may not say is refused with its place")
  func refusals() throws {
    let running = try server()
    func error(_ body: String) throws -> (status: Int, parameter: String?, code: String?) {
      try running.post("/v1/chat/completions", body).error
    }
    let bad = Self.tools.replacing(#""type":"string""#, with: #""type":"string","contains":1"#)
    let refused = try error("{\(Self.message),\(bad),\"tool_choice\":\"required\"}")
    #expect(refused == (400, "tools[0].function.parameters#/properties/city/contains", "unsupported_schema"))
    // Nothing has to hold where the model decides and the tool is not strict.
    #expect(try error("{\(Self.message),\(bad)}").status == 200)
    let unknown = try error(
      "{\(Self.message),\(Self.tools),\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"x\"}}}")
    #expect(unknown == (400, "tool_choice.function.name", "invalid_value"))
    let both = try error("{\(Self.message),\(Self.tools),\"response_format\":{\"type\":\"json_object\"}}")
    #expect(both == (400, "response_format", "invalid_value"))
    let mistral = try RunningServer(ScriptedEngine(template: "{{ tools }}{# [TOOL_CALLS] #}"))
    let one = try mistral.post(
      "/v1/chat/completions", "{\(Self.message),\(Self.tools),\"parallel_tool_calls\":false}")
    #expect(one.error == (400, "parallel_tool_calls", "invalid_value"))
    let name = try error("{\(Self.message),\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]}")
    #expect(name == (400, "tools[0].function.name", "invalid_value"))
  }

  @Test("formats by all their names become the request's constraint, after thoughts where the model has some")
  func formats() throws {
    for (field, accepted, refused) in [
      (#""response_format":{"type":"json_object"}"#, "{}", "[]"),
      (
        #""response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"const":5}}}"#, "5",
        "6"
      ),
      (#""structured_outputs":{"choice":["a","b"]}"#, "b", "c"),
      (#""structured_outputs":{"json_object":true}"#, "{}", "1"),
      (#""guided_json":"{\"const\":5}""#, "5", "6"), (#""guided_regex":"a+""#, "aa", "b"),
      (#""guided_choice":["x"]"#, "x", "y"), (#""guided_grammar":"root ::= \"q\"""#, "q", "r"),
      (#""grammar":"root ::= \"q\"""#, "q", "r"), (#""json_schema":{"type":"null"}"#, "null", "0"),
    ] {
      let running = try server()
      #expect(try running.post("/v1/chat/completions", "{\(Self.message),\(field)}").status == 200)
      #expect(try running.post("/v1/completions", "{\"prompt\":\"Hi\",\(field)}").status == 200)
      let constraints = running.engine.requests.compactMap(\.constraint)
      try #require(constraints.count == 2)
      for (index, text) in [(0, accepted), (1, accepted), (0, "<think>\n\(refused)</think>\n\n\(accepted)")] {
        var matcher = TokenMatcher(constraints[index])
        let isTaken = matcher.accept(Array(text.utf8))
        #expect(isTaken && matcher.canEnd, "\(field): \(text)")
      }
      for constraint in constraints {
        var matcher = TokenMatcher(constraint)
        let isTaken = matcher.accept(Array(refused.utf8)) && matcher.canEnd
        #expect(!isTaken, "\(field): \(refused)")
      }
    }
  }

  @Test("families are told by their templates")
  func families() throws {
    #expect(ToolCallSyntax.find(in: "{{ tools }} <tool_call>") == .hermes)
    #expect(ToolCallSyntax.find(in: "{{ tools }} [TOOL_CALLS]") == .mistral)
    #expect(ToolCallSyntax.find(in: "{{ tools }} <tool_calls>") == .hunyuan)
    #expect(ToolCallSyntax.find(in: "{{ tools }} \"parameters\": ") == .llama3)
    #expect(ToolCallSyntax.find(in: "<tool_call>") == nil && ToolCallSyntax.find(in: "{{ tools }}") == nil)
    for other in ["<tool_call><function=", "<tool_call>name<arg_key>", "[TOOL_CALLS]name[ARGS]"] {
      #expect(ToolCallSyntax.find(in: "{{ tools }} \(other)") == nil)
    }
    let path = Goldens.path("templates/cases.json")
    let templates = try JSONValue(parsing: FilePath.contents(of: path, limit: 1 << 24))["templates"]
    for (name, syntax) in [
      ("qwen2.5", ToolCallSyntax.hermes), ("qwen3", .hermes), ("mistral", .mistral), ("llama3", .llama3),
    ] {
      let source = try #require(templates?[name]?.string ?? templates?[name]?["template"]?.string)
      #expect(ToolCallSyntax.find(in: source) == syntax, "\(name)")
    }
  }
}
