import AngelCore
import AngelGrammar
import AngelTesting
import Testing

@testable import AngelServer

/// OpenAI's responses through a socket.
@Suite("OpenAI's responses over HTTP")
struct ResponsesTests {
  private static let hi = #""input":"Hi""#
  private static let tools = #""tools":[{"type":"function","name":"weather"},{"type":"function","name":"now"}]"#

  private func post(_ running: RunningServer, _ body: String) throws -> HTTPClient.Response {
    try running.post("/v1/responses", "{\(body)}")
  }

  /// What a response says of the request again, and of what came of it.
  private func response(_ status: String, output: String, usage: String) -> String {
    #"{"id":"resp_one","object":"response","created_at":0,"status":"\#(status)","background":false,"error":null,"#
      + #""incomplete_details":null,"model":"scripted","output":\#(output),"previous_response_id":null,"store":false,"#
      + #""truncation":"disabled","metadata":{},"usage":\#(usage),"instructions":null,"max_output_tokens":null,"#
      + #""parallel_tool_calls":true,"temperature":0.7,"top_p":1,"top_logprobs":0,"text":{"format":{"type":"text"}},"#
      + #""tool_choice":"auto","tools":[],"reasoning":{"effort":null,"summary":null}}"#
  }

  private func usage(_ prompt: Int, _ answer: Int) -> String {
    #"{"input_tokens":\#(prompt),"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"#
      + #""output_tokens":\#(answer),"output_tokens_details":{"reasoning_tokens":0},"total_tokens":\#(prompt + answer)}"#
  }

  private func message(_ text: String) -> String {
    #"{"id":"msg_one_0","type":"message","role":"assistant","content":[\#(part(text))],"status":"completed"}"#
  }

  private func part(_ text: String) -> String {
    #"{"type":"output_text","text":"\#(text)","annotations":[],"logprobs":[]}"#
  }

  @Test("a whole response")
  func whole() throws {
    let running = try RunningServer()
    let answer = try post(running, Self.hi + #","temperature":0.7"#)
    let script = try running.engine.tokenizer.encode("Hello there.", addingSpecialTokens: false).count
    let prompt = running.engine.requests[0].prompt.count
    #expect(
      answer.timeless
        == response("completed", output: "[\(message("Hello there."))]", usage: usage(prompt, script)))
    #expect(try running.prompts == ["user: Hi\nassistant:"])
  }

  @Test("a stream, event by event")
  func stream() throws {
    let running = try RunningServer(ScriptedEngine("Hi"))
    let answer = try post(running, Self.hi + #","temperature":0.7,"stream":true"#)
    let prompt = running.engine.requests[0].prompt.count
    let tokens = try running.engine.tokenizer.encode("Hi", addingSpecialTokens: false)
    let pieces = try tokens.map { try running.engine.tokenizer.decode([$0], skippingSpecialTokens: false) }
    var (expected, number) = ("", 0)
    func event(_ name: String, _ rest: String) {
      expected += "event: \(name)\ndata: {\"type\":\"\(name)\",\"sequence_number\":\(number),\(rest)}\n\n"
      number += 1
    }
    let begun = response("in_progress", output: "[]", usage: "null")
    let place = #""item_id":"msg_one_0","output_index":0,"content_index":0"#
    event("response.created", "\"response\":\(begun)")
    event("response.in_progress", "\"response\":\(begun)")
    event(
      "response.output_item.added",
      #""output_index":0,"item":{"id":"msg_one_0","type":"message","role":"assistant","content":[],"status":"in_progress"}"#
    )
    event("response.content_part.added", "\(place),\"part\":\(part(""))")
    for piece in pieces { event("response.output_text.delta", "\(place),\"delta\":\"\(piece)\",\"logprobs\":[]") }
    event("response.output_text.done", "\(place),\"text\":\"Hi\",\"logprobs\":[]")
    event("response.content_part.done", "\(place),\"part\":\(part("Hi"))")
    event("response.output_item.done", "\"output_index\":0,\"item\":\(message("Hi"))")
    let end = response("completed", output: "[\(message("Hi"))]", usage: usage(prompt, tokens.count))
    event("response.completed", "\"response\":\(end)")
    #expect(answer.timeless == expected)
  }

  @Test("thoughts, text and calls are items of their own, with the thoughts' tokens counted")
  func items() throws {
    let running = try Dialogue.server()
    let answer = try post(running, "\(Self.hi),\(Self.tools)").json
    let output = try #require(answer["output"]?.array)
    #expect(output.map { $0["type"] } == ["reasoning", "message", "function_call", "function_call"])
    #expect(output.map { $0["id"] } == ["rs_one_0", "msg_one_1", "fc_one_2", "fc_one_3"])
    #expect(output.allSatisfy { $0["status"] == "completed" })
    #expect(output[0]["content"] == [["type": "reasoning_text", "text": "hm"]] && output[0]["summary"] == [])
    #expect(output[1]["content"]?.array?[0]["text"] == "I ask.")
    #expect(output[2...].map { $0["name"] } == ["weather", "now"])
    #expect(output[2...].map { $0["arguments"] } == [#"{"city": "Köln"}"#, "{}"])
    #expect(output[2...].allSatisfy { $0["call_id"]?.string?.utf8.count == 9 })
    // All up to the marker's end: the text is what comes behind.
    let thoughts = try running.engine.tokenizer.encode("<think>\nhm\n</think>\n", addingSpecialTokens: false).count
    #expect(answer["usage"]?["output_tokens_details"]?["reasoning_tokens"]?.integer == thoughts)
  }

  @Test("a stream's items come one after the other, and its last event is the whole")
  func streamedItems() throws {
    let running = try Dialogue.server()
    let events = try post(running, "\(Self.hi),\(Self.tools),\"stream\":true").events
    func item(_ delta: String, hasParts: Bool) -> [String] {
      let (added, done) = (["response.content_part.added"], ["response.content_part.done"])
      return ["response.output_item.added"] + (hasParts ? added : []) + [
        "response.\(delta).delta", "response.\(delta).done",
      ]
        + (hasParts ? done : []) + ["response.output_item.done"]
    }
    let call = item("function_call_arguments", hasParts: false)
    #expect(
      events.map(\.name).withoutRepetitions == ["response.created", "response.in_progress"]
        + item("reasoning_text", hasParts: true) + item("output_text", hasParts: true) + call + call
        + ["response.completed"])
    #expect(events.map { $0.json["sequence_number"]?.integer } == Array(0..<events.count))
    #expect(events.allSatisfy { $0.json["type"] == .string($0.name) })
    let final = try #require(events.last?.json["response"])
    let done = events.filter { $0.name == "response.output_item.done" }.map { $0.json["item"] ?? nil }
    #expect(final["output"] == .array(done))
    var texts = ["", "", "", ""]
    for event in events where event.name.hasSuffix(".delta") {
      texts[event.json["output_index"]?.integer ?? 0] += event.json["delta"]?.string ?? "?"
    }
    #expect(texts == ["hm", "I ask.", #"{"city": "Köln"}"#, "{}"])
    let whole = try post(running, "\(Self.hi),\(Self.tools)").json
    #expect(final["usage"] == whole["usage"])
  }

  @Test("an answer that was cut is incomplete, and its last item too")
  func cut() throws {
    let running = try RunningServer()
    let answer = try post(running, Self.hi + #","max_output_tokens":1"#).json
    #expect(answer["status"] == "incomplete" && answer["incomplete_details"] == ["reason": "max_output_tokens"])
    #expect(answer["output"]?.array?.map { $0["status"] } == ["incomplete"])
    let events = try post(running, Self.hi + #","max_output_tokens":1,"stream":true"#).events
    #expect(events.last?.name == "response.incomplete")
    #expect(events.last?.json["response"]?["output"] == answer["output"])
  }

  @Test("a call that was not written to its end is not complete, in streams and whole alike")
  func brokenCall() throws {
    let script = String(Dialogue.script.prefix(80))
    let answer = try post(Dialogue.server(script), "\(Self.hi),\(Self.tools)").json
    #expect(answer["status"] == "completed")
    let output = try #require(answer["output"]?.array)
    #expect(output.map { $0["status"] } == ["completed", "completed", "incomplete"])
    #expect(output.last?["name"] == "weather")
    let events = try post(Dialogue.server(script), "\(Self.hi),\(Self.tools),\"stream\":true").events
    let done = events.filter { $0.name == "response.output_item.done" }.map { $0.json["item"]?["status"] }
    #expect(done == ["completed", "completed", "incomplete"] && events.last?.name == "response.completed")
    let final = events.last?.json["response"]?["output"]?.array ?? []
    #expect(final.map { $0["status"] } == ["completed", "completed", "incomplete"])
  }

  @Test("metadata is said again")
  func metadata() throws {
    let answer = try post(RunningServer(), Self.hi + #","metadata":{"a":"b"}"#)
    #expect(try answer.json["metadata"] == ["a": "b"] && answer["warning"] == nil)
  }

  @Test("log-probabilities go with the text they belong to, and come with its pieces")
  func logprobs() throws {
    let running = try Dialogue.server("<think>a</think>bc")
    let body = Self.hi + #","top_logprobs":1"#
    let content = try post(running, body).json["output"]?.array?.last?["content"]?.array?[0]
    let logprobs = try #require(content?["logprobs"]?.array)
    #expect(content?["text"] == "bc")
    #expect(logprobs.map { $0["token"]?.string }.joinedTexts == "bc")
    #expect(logprobs.allSatisfy { $0["top_logprobs"]?.array?.count == 1 })
    let events = try post(running, body + #","stream":true"#).events
    let deltas = events.filter { $0.name == "response.output_text.delta" }.flatMap { $0.json["logprobs"]?.array ?? [] }
    #expect(deltas == logprobs)
    #expect(events.first { $0.name == "response.output_text.done" }?.json["logprobs"] == .array(logprobs))
    let included = try post(running, Self.hi + #","include":["message.output_text.logprobs"]"#).json
    #expect(
      included["output"]?.array?.last?["content"]?.array?[0]["logprobs"]?.array?.map { $0["top_logprobs"] }
        == logprobs.map { _ in [] })
  }

  @Test("what the official client sends is served, and reaches template and sampler")
  func recorded() throws {
    let running = try Dialogue.server()
    #expect(try running.ask(recorded: "responses.create").status == 200)
    let second = try running.ask(recorded: "responses.create stream")
    #expect(second.status == 200)
    #expect(
      second["warning"]
        == #"299 angel "without effect: input[1].id, input[2].id, input[2].status""#)
    // It asks for 100 tokens.
    #expect(try second.events.last?.name == "response.incomplete")
    #expect(
      try running.prompts == [
        "system: Be brief.;user: Hi;assistant:",
        "tool weather;user: Hi;assistant: (hm) I ask. weather Bonn;tool weather: rain;assistant:",
      ])
    let requests = running.engine.requests
    #expect(requests[1].sampling.temperature == 0 && requests[1].sampling.maxTokens == 100)
    #expect(try running.ask(recorded: "responses.parse").status == 200)
    var matcher = TokenMatcher(try #require(running.engine.requests.last?.constraint))
    let isTaken = matcher.accept(Array(#"{"city":"Bonn"}"#.utf8))
    #expect(isTaken && matcher.canEnd)
    #expect(running.engine.requests.last?.sampling.logprobs == 2)
  }

  @Test("a tool's parameters may be null, as the client writes them; then its arguments may be anything")
  func nullParameters() throws {
    let running = try Dialogue.server()
    let tool = #"{"type":"function","name":"now","parameters":null,"strict":null}"#
    #expect(try post(running, Self.hi + ",\"tools\":[\(tool)],\"tool_choice\":\"required\"").status == 200)
    var matcher = TokenMatcher(try #require(running.engine.requests.first?.constraint))
    let isTaken = matcher.accept(
      Array("<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": [1]}}\n</tool_call>".utf8))
    #expect(isTaken && matcher.canEnd)
  }

  @Test("effort none switches thoughts off where the template can; what has no effect is said")
  func effort() throws {
    let running = try Dialogue.server()
    #expect(try post(running, Self.hi + #","reasoning":{"effort":"none"}"#)["warning"] == nil)
    #expect(try running.prompts == ["thinking False;user: Hi;assistant:"])
    let other = try post(
      running, Self.hi + #","reasoning":{"effort":"high"},"include":["reasoning.encrypted_content"]"#)
    #expect(
      other["warning"] == #"299 angel "without effect: reasoning.effort, include: reasoning.encrypted_content""#)
  }

  /// A body and what it is refused for.
  static let refusals: [(body: String, parameter: String, code: String)] = [
    ("", "input", "missing_required_parameter"),
    (hi + #","previous_response_id":"resp_1""#, "previous_response_id", "unsupported_parameter"),
    (hi + #","background":true"#, "background", "unsupported_parameter"),
    (hi + #","store":true"#, "store", "unsupported_parameter"),
    (hi + #","conversation":"c""#, "conversation", "unsupported_parameter"),
    (hi + #","truncation":"auto""#, "truncation", "unsupported_parameter"),
    (hi + #","tools":[{"type":"web_search"}]"#, "tools[0].type", "unsupported_parameter"),
    (hi + #","tools":[{"type":"magic"}]"#, "tools[0].type", "invalid_type"),
    (hi + #","tool_choice":{"type":"function","name":"f"}"#, "tool_choice.name", "invalid_value"),
    (hi + #","max_tokens":3"#, "max_tokens", "unknown_parameter"),
    (hi + #","max_output_tokens":300"#, "input", "context_length_exceeded"),
    (hi + #","stream_options":{}"#, "stream_options", "invalid_value"),
    (
      hi + #","text":{"format":{"type":"json_schema","name":"n","schema":{"not":{}}}}"#, "text.format.schema#/not",
      "unsupported_schema"
    ),
    (#""input":[{"type":"item_reference","id":"x"}]"#, "input[0].type", "unsupported_parameter"),
    (#""input":[{"role":"user"}]"#, "input[0].content", "missing_required_parameter"),
    (
      #""input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]"#, "input[0].content[0].type",
      "unsupported_parameter"
    ),
    (#""input":[{"type":"reasoning","encrypted_content":"x"}]"#, "input[0].encrypted_content", "unsupported_parameter"),
    (#""input":[{"type":"reasoning"}]"#, "input", "invalid_value"),
  ]

  @Test("what is wrong is refused with its field", arguments: refusals.indices)
  func refusal(_ index: Int) throws {
    let (running, item) = (try Dialogue.server(), Self.refusals[index])
    let answer = try post(running, item.body)
    #expect(answer.error == (400, item.parameter, item.code), "\(answer.text)")
    #expect(running.engine.requests.isEmpty)
  }

  @Test("an engine that fails ends a stream with a failed response")
  func failure() throws {
    struct Stumble: DescribedError { var description: String { "the engine stumbled" } }
    let running = try RunningServer()
    running.engine.fail(with: Stumble())
    let events = try post(running, Self.hi + #","stream":true"#).events
    #expect(events.map(\.name) == ["response.created", "response.in_progress", "response.failed"])
    let response = events.last?.json["response"]
    #expect(response?["status"] == "failed")
    #expect(response?["error"] == ["code": "server_error", "message": "the engine stumbled"])
  }
}

extension [String?] {
  fileprivate var joinedTexts: String { compactMap { $0 }.joined() }
}
