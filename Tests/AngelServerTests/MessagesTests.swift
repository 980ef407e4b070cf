import AngelCore
import AngelGrammar
import AngelTesting
import Testing

@testable import AngelServer

/// Anthropic's messages through a socket.
@Suite("Anthropic's messages over HTTP")
struct MessagesTests {
  private static let hi = #""max_tokens":200,"messages":[{"role":"user","content":"Hi"}]"#
  private static let tools = #""tools":[{"name":"weather","input_schema":{}},{"name":"now","input_schema":{}}]"#

  private func post(_ running: RunningServer, _ body: String) throws -> HTTPClient.Response {
    try running.post("/v1/messages", "{\(body)}")
  }

  @Test("a whole message")
  func whole() throws {
    let running = try RunningServer()
    let answer = try post(running, Self.hi)
    let prompt = running.engine.requests[0].prompt.count
    #expect(try running.prompts == ["user: Hi\nassistant:"])
    let script = try running.engine.tokenizer.encode("Hello there.", addingSpecialTokens: false).count
    #expect(
      answer.text
        == #"{"id":"msg_one","type":"message","role":"assistant","model":"scripted","content":[{"type":"text","#
        + #""text":"Hello there."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":\#(prompt),"#
        + #""cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":\#(script)}}"#)
    #expect(answer["request-id"] == "one")
  }

  @Test("a stream, event by event")
  func stream() throws {
    let running = try RunningServer(ScriptedEngine("Hi"))
    let answer = try post(running, Self.hi + #","stream":true"#)
    #expect(answer["content-type"] == "text/event-stream; charset=utf-8")
    let prompt = running.engine.requests[0].prompt.count
    let pieces = try running.engine.tokenizer.encode("Hi", addingSpecialTokens: false).map { [$0] }
    let texts = try pieces.map { try running.engine.tokenizer.decode($0, skippingSpecialTokens: false) }
    func event(_ name: String, _ rest: String) -> String { "event: \(name)\ndata: {\"type\":\"\(name)\"\(rest)}\n\n" }
    var expected = event(
      "message_start",
      #","message":{"id":"msg_one","type":"message","role":"assistant","model":"scripted","content":[],"#
        + #""stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":\#(prompt),"cache_creation_input_tokens":0,"#
        + #""cache_read_input_tokens":0,"output_tokens":0}}"#)
    expected += event("ping", "")
    expected += event("content_block_start", #","index":0,"content_block":{"type":"text","text":""}"#)
    for text in texts {
      expected += event("content_block_delta", #","index":0,"delta":{"type":"text_delta","text":"\#(text)"}"#)
    }
    expected += event("content_block_stop", #","index":0"#)
    expected += event(
      "message_delta",
      #","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":\#(prompt),"#
        + #""cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":\#(texts.count)}"#)
    expected += event("message_stop", "")
    #expect(answer.text == expected)
  }

  @Test("thoughts, text and calls are blocks of their own")
  func blocks() throws {
    let answer = try post(Dialogue.server(), "\(Self.hi),\(Self.tools)").json
    #expect(answer["stop_reason"] == "tool_use")
    let blocks = try #require(answer["content"]?.array)
    #expect(blocks[0] == ["type": "thinking", "thinking": "hm", "signature": ""])
    #expect(blocks[1] == ["type": "text", "text": "I ask."])
    #expect(blocks[2...].map { $0["type"] } == ["tool_use", "tool_use"])
    #expect(blocks[2...].map { $0["name"] } == ["weather", "now"])
    #expect(blocks[2...].map { $0["input"] } == [["city": "Köln"], [:]])
    #expect(blocks[2...].allSatisfy { $0["id"]?.string?.utf8.count == 9 })
  }

  @Test("a stream's blocks begin and end one after the other, and their pieces are the whole")
  func streamedBlocks() throws {
    let events = try post(Dialogue.server(), "\(Self.hi),\(Self.tools),\"stream\":true").events
    let block = ["content_block_start", "content_block_delta", "content_block_stop"]
    #expect(
      events.map(\.name).withoutRepetitions == ["message_start", "ping"] + block + block + block + block
        + ["message_delta", "message_stop"])
    let starts = events.filter { $0.name == "content_block_start" }.map { $0.json["content_block"] }
    #expect(starts.map { $0?["type"] } == ["thinking", "text", "tool_use", "tool_use"])
    #expect(starts[2]?["name"] == "weather" && starts[2]?["input"] == [:])
    var texts = ["", "", "", ""]
    var kinds: [String] = []
    for event in events where event.name == "content_block_delta" {
      let delta = event.json["delta"]
      kinds.append(delta?["type"]?.string ?? "")
      texts[event.json["index"]?.integer ?? 0] +=
        (delta?["text"] ?? delta?["thinking"] ?? delta?["partial_json"])?.string ?? "?"
    }
    #expect(texts == ["hm", "I ask.", #"{"city": "Köln"}"#, "{}"])
    #expect(kinds.withoutRepetitions == ["thinking_delta", "text_delta", "input_json_delta"])
    #expect(events.first { $0.name == "message_delta" }?.json["delta"]?["stop_reason"] == "tool_use")
  }

  @Test("why a message ended: a stop sequence, which is named, or its length")
  func reasons() throws {
    let running = try RunningServer()
    let stopped = try post(running, Self.hi + #","stop_sequences":["x"," there"]"#).json
    #expect(stopped["content"] == [["type": "text", "text": "Hello"]])
    #expect(stopped["stop_reason"] == "stop_sequence" && stopped["stop_sequence"] == " there")
    let streamed = try post(running, Self.hi + #","stop_sequences":[" there"],"stream":true"#).events
    #expect(
      streamed.first { $0.name == "message_delta" }?.json["delta"]
        == ["stop_reason": "stop_sequence", "stop_sequence": " there"])
    let cut = try post(running, #""max_tokens":1,"messages":[{"role":"user","content":"Hi"}]"#).json
    #expect(cut["stop_reason"] == "max_tokens" && cut["stop_sequence"] == .null)
    // A call that was cut in its arguments is none.
    let half = try post(Dialogue.server(String(Dialogue.script.prefix(80))), "\(Self.hi),\(Self.tools)").json
    #expect(half["content"]?.array?.map { $0["type"] } == ["thinking", "text"])
    #expect(half["stop_reason"] == "end_turn")
    let events = try post(
      Dialogue.server(String(Dialogue.script.prefix(80))), "\(Self.hi),\(Self.tools),\"stream\":true"
    ).events
    #expect(events.contains { $0.json["content_block"]?["name"] == "weather" })
    #expect(events.first { $0.name == "message_delta" }?.json["delta"]?["stop_reason"] == "end_turn")
  }

  @Test("a call without arguments has none, one whose arguments are no object is text, in streams and whole alike")
  func oddArguments() throws {
    for (arguments, type, reason) in [("null", "tool_use", "tool_use"), ("[1]", "text", "end_turn")] {
      let script = "<tool_call>\n{\"name\": \"now\", \"arguments\": \(arguments)}\n</tool_call>"
      let whole = try post(Dialogue.server(script), "\(Self.hi),\(Self.tools)").json
      let block = try #require(whole["content"]?.array?.first)
      #expect(block["type"] == .string(type) && whole["stop_reason"] == .string(reason))
      #expect(type == "text" ? block["text"] == .string(script) : block["input"] == [:])
      let events = try post(Dialogue.server(script), "\(Self.hi),\(Self.tools),\"stream\":true").events
      let deltas = events.filter { $0.name == "content_block_delta" }.compactMap { $0.json["delta"] }
      #expect(
        deltas.compactMap { ($0["text"] ?? $0["partial_json"])?.string }.joined() == (type == "text" ? script : "{}"))
      #expect(events.first { $0.name == "content_block_start" }?.json["content_block"]?["type"] == .string(type))
      #expect(events.first { $0.name == "message_delta" }?.json["delta"]?["stop_reason"] == .string(reason))
    }
  }

  @Test("what the official client sends is served, and reaches template and sampler")
  func recorded() throws {
    let running = try Dialogue.server()
    let first = try running.ask(recorded: "messages.create")
    #expect(first.status == 200 && first["warning"] == #"299 angel "without effect: metadata""#)
    let second = try running.ask(recorded: "messages.create stream")
    #expect(second.status == 200 && second["warning"] == #"299 angel "without effect: system[0].cache_control""#)
    #expect(try second.events.last?.name == "message_stop")
    #expect(try running.ask(recorded: "messages.stream").status == 200)
    let conversation =
      "tool weather;system: Be brief.;user: Hi;assistant: (hm) I ask. weather Bonn;tool weather: rain;"
      + "user: So?;assistant:"
    #expect(
      try running.prompts == ["system: Be brief.;user: Hi;assistant:", conversation, "user: Hi;assistant:"])
    let sampling = running.engine.requests.map(\.sampling)
    #expect(sampling[0].stop == ["END"] && sampling[0].temperature == 1 && sampling[0].maxTokens == 100)
    #expect(sampling[1].temperature == 0 && sampling[1].topK == 5 && sampling[1].topP == 0.5)
    let count = try running.ask(recorded: "messages.count_tokens")
    #expect(count.text == #"{"input_tokens":\#(running.engine.requests[1].prompt.count)}"#)
  }

  @Test("thoughts are switched by the template, where it can")
  func thinking() throws {
    let running = try Dialogue.server()
    for (thinking, prompt) in [
      (#"{"type":"enabled","budget_tokens":2000}"#, "thinking True;"), (#"{"type":"disabled"}"#, "thinking False;"),
      (#"{"type":"adaptive"}"#, ""),
    ] {
      #expect(try post(running, Self.hi + ",\"thinking\":\(thinking)").status == 200)
      #expect(try running.prompts.last == prompt + "user: Hi;assistant:")
    }
    let other = try post(RunningServer(), Self.hi + #","thinking":{"type":"enabled","budget_tokens":2000}"#)
    #expect(other.status == 400)
    #expect(try other.json["error"]?["message"]?.string?.hasPrefix("'thinking.type' asks for thoughts") == true)
  }

  @Test("tool_choice and formats constrain the answer")
  func constraints() throws {
    func accepts(_ extra: String, _ text: String) throws -> Bool {
      let running = try Dialogue.server()
      #expect(try post(running, "\(Self.hi)\(extra)").status == 200)
      var matcher = TokenMatcher(try #require(running.engine.requests.first?.constraint))
      return matcher.accept(Array(text.utf8)) && matcher.canEnd
    }
    let now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"
    let weather = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</tool_call>"
    #expect(try accepts(",\(Self.tools),\"tool_choice\":{\"type\":\"any\"}", "\(now)\n\(weather)"))
    let one = ",\(Self.tools),\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true}"
    #expect(try accepts(one, now) && !accepts(one, "\(now)\n\(weather)"))
    let free = ",\(Self.tools),\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"
    #expect(try accepts(free, "text") && accepts(free, "I ask.\n\(now)") && !accepts(free, "\(now)\n\(weather)"))
    let named = ",\(Self.tools),\"tool_choice\":{\"type\":\"tool\",\"name\":\"now\"}"
    #expect(try accepts(named, now) && !accepts(named, weather))
    let format = #","output_config":{"format":{"type":"json_schema","schema":{"const":5}}}"#
    #expect(try accepts(format, "5") && !accepts(format, "6"))
  }

  @Test("what is wrong is told in Anthropic's form, with its field")
  func refusals() throws {
    let running = try Dialogue.server()
    let cases: [(body: String, status: Int, type: String, message: String)] = [
      (
        #""messages":[{"role":"user","content":"Hi"}]"#, 400, "invalid_request_error",
        "'max_tokens' is missing: it must be an integer from 1 to 16777216"
      ),
      (Self.hi + #","model":"none""#, 404, "not_found_error", "there is no model 'none': this server has scripted"),
      (
        Self.hi + #","max_token":1"#, 400, "invalid_request_error",
        "unknown field 'max_token'; did you mean 'max_tokens'?"
      ),
      (
        Self.hi + #","system":[{"type":"image"}]"#, 400, "invalid_request_error",
        "'system[0].type' must be 'text', not \"image\""
      ),
      (
        #""max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]"#, 400,
        "invalid_request_error",
        "'messages[0].content[0]' is of type 'image', which is not supported: models here read text"
      ),
      (
        #""max_tokens":1,"messages":[{"role":"user","content":[{"text":"x"}]}]"#, 400, "invalid_request_error",
        "'messages[0].content[0].type' is missing: it must be 'text' or 'thinking' or 'tool_use' or 'tool_result'"
      ),
      (
        #""max_tokens":1,"messages":[{"role":"user","content":[]}]"#, 400, "invalid_request_error",
        "'messages[0].content' has 0 values: it must have from 1 to 1000"
      ),
      (
        #""max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]"#, 400,
        "invalid_request_error",
        "'messages[1].role' is 'assistant': an answer whose beginning is given is not supported"
      ),
      (
        Self.hi
          + #","tools":[{"name":"f","input_schema":{"properties":{"a":{"not":{}}}}}],"tool_choice":{"type":"any"}"#,
        400, "invalid_request_error", "'tools[0].input_schema'"
      ),
      (Self.hi + #","top_p":0"#, 400, "invalid_request_error", "'top_p' is 0.0"),
      (Self.hi + #","stop_sequences":[""]"#, 400, "invalid_request_error", "'stop_sequences'"),
    ]
    for item in cases {
      let answer = try post(running, item.body)
      #expect(answer.status == item.status, "\(answer.text)")
      let json = try answer.json
      #expect(json["type"] == "error" && json["error"]?["type"] == .string(item.type) && json["request_id"] == "one")
      #expect(json["error"]?["message"]?.string?.hasPrefix(item.message) == true, "\(answer.text)")
    }
    #expect(running.engine.requests.isEmpty)
    #expect(try running.get("/v1/messages").text.contains(#""type":"invalid_request_error""#))
    let missing = try running.get("/v1/messages/none")
    #expect(try missing.json["error"]?["type"] == "not_found_error")
    #expect(missing["request-id"] == "one" && missing["x-request-id"] == "one")
    #expect(try running.get("/v1/none")["request-id"] == nil)
    running.engine.refuse(with: .queueFull(queuedTokens: 9, limit: 8, retryAfterSeconds: 3))
    #expect(try post(running, Self.hi).json["error"]?["type"] == "rate_limit_error")
  }

  @Test("an engine that fails ends a stream with an error event")
  func failure() throws {
    struct Stumble: DescribedError { var description: String { "the engine stumbled" } }
    let running = try RunningServer()
    running.engine.fail(with: Stumble())
    let events = try post(running, Self.hi + #","stream":true"#).events
    #expect(events.map(\.name) == ["message_start", "ping", "error"])
    #expect(
      events.last?.json == [
        "type": "error", "error": ["type": "api_error", "message": "the engine stumbled"], "request_id": "one",
      ])
  }
}
