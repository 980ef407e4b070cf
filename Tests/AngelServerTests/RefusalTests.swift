import AngelCore
import AngelTesting
import Testing

@testable import AngelServer

/// What is wrong with a request is said, with the field's name; nothing is ignored in silence.
@Suite("Requests that are refused")
struct RefusalTests {
  let running: RunningServer

  init() throws { running = try RunningServer() }

  /// A body and what it is refused for.
  struct Case: Sendable, CustomTestStringConvertible {
    let path: String
    let body: String
    let status: Int
    let parameter: String?
    let code: String
    var testDescription: String { body }

    init(_ body: String, _ parameter: String?, _ code: String, status: Int = 400, path: String = "/v1/chat/completions")
    {
      self.path = path
      self.body = body
      self.status = status
      self.parameter = parameter
      self.code = code
    }
  }

  private static let message = #""messages":[{"role":"user","content":"x"}]"#

  static let cases = [
    Case("", nil, "invalid_body"), Case("{", nil, "invalid_body"), Case("[]", nil, "invalid_body"),
    Case(#"{"model":"scripted","model":"scripted"}"#, nil, "invalid_body"),
    Case(String(repeating: "[", count: 100), nil, "invalid_body"),
    Case("{}", "messages", "missing_required_parameter"),
    Case(#"{"messages":[]}"#, "messages", "invalid_value"),
    Case(#"{"messages":"x"}"#, "messages", "invalid_type"),
    Case(#"{"messages":[{"content":"x"}]}"#, "messages[0].role", "missing_required_parameter"),
    Case(#"{"messages":[{"role":"user","content":5}]}"#, "messages[0].content", "invalid_type"),
    Case(
      #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}"#, "messages[0].content[0].type",
      "invalid_type"),
    Case(#"{"messages":[{"role":"user","content":"x","color":"red"}]}"#, "messages[0].color", "unknown_parameter"),
    Case("{\(message),\"temprature\":1}", "temprature", "unknown_parameter"),
    Case("{\(message),\"temperature\":\"1\"}", "temperature", "invalid_type"),
    Case("{\(message),\"temperature\":-1}", "temperature", "invalid_type"),
    Case("{\(message),\"temperature\":1e999}", nil, "invalid_body"),
    Case("{\(message),\"top_p\":0}", "top_p", "invalid_value"),
    Case("{\(message),\"n\":0}", "n", "invalid_type"),
    Case("{\(message),\"n\":1.5}", "n", "invalid_type"),
    Case("{\(message),\"stop\":\"\"}", "stop", "invalid_value"),
    Case("{\(message),\"stop\":[1]}", "stop[0]", "invalid_type"),
    Case("{\(message),\"logit_bias\":{\"x\":1}}", "logit_bias", "invalid_value"),
    Case("{\(message),\"logit_bias\":{\"1\":101}}", "logit_bias.1", "invalid_type"),
    Case("{\(message),\"max_tokens\":5,\"max_completion_tokens\":6}", "max_tokens", "invalid_value"),
    Case("{\(message),\"max_tokens\":0}", "max_tokens", "invalid_value"),
    Case("{\(message),\"max_tokens\":300}", "messages", "context_length_exceeded"),
    Case("{\(message),\"stream_options\":{}}", "stream_options", "invalid_value"),
    Case("{\(message),\"stream\":true,\"stream_options\":{\"x\":1}}", "stream_options.x", "unknown_parameter"),
    Case("{\(message),\"top_logprobs\":3}", "top_logprobs", "invalid_value"),
    Case("{\(message),\"tools\":[{}]}", "tools[0].type", "missing_required_parameter"),
    Case(
      "{\(message),\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}", "tools",
      "unsupported_parameter"),
    Case("{\(message),\"tool_choice\":\"required\"}", "tool_choice", "invalid_value"),
    Case(
      "{\(message),\"response_format\":{\"type\":\"json_schema\"}}", "response_format.json_schema", "invalid_value"),
    Case(
      "{\(message),\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":"
        + "{\"properties\":{\"a\":{\"not\":{}}}}}}}",
      "response_format.json_schema.schema#/properties/a/not", "unsupported_schema"),
    Case(
      "{\(message),\"structured_outputs\":{\"regex\":\"(?=a)\"}}", "structured_outputs.regex", "unsupported_grammar"),
    Case("{\(message),\"guided_grammar\":\"root ::= root\"}", "guided_grammar", "unsupported_grammar"),
    Case("{\(message),\"guided_json\":\"{\"}", "guided_json", "invalid_value"),
    Case("{\(message),\"guided_choice\":[\"a\"],\"grammar\":\"root ::= []\"}", "grammar", "invalid_value"),
    Case(
      "{\(message),\"structured_outputs\":{\"structural_tag\":{}}}", "structured_outputs.structural_tag",
      "unsupported_parameter"),
    Case("{\(message),\"model\":\"gpt-5\"}", "model", "model_not_found", status: 404),
    Case(#"{"prompt":""}"#, "prompt", "invalid_value", path: "/v1/completions"),
    Case(#"{"prompt":[-1]}"#, "prompt[0]", "invalid_type", path: "/v1/completions"),
    Case(#"{"prompt":[99999999]}"#, "prompt", "invalid_value", path: "/v1/completions"),
    Case(#"{"prompt":"x","max_tokens":0}"#, "max_tokens", "invalid_value", path: "/v1/completions"),
    Case(#"{"prompt":"x","suffix":"y"}"#, "suffix", "unsupported_parameter", path: "/v1/completions"),
    Case(#"{"prompt":"x","best_of":2}"#, "best_of", "unsupported_parameter", path: "/v1/completions"),
    Case(#"{"input":[]}"#, "input", "invalid_value", path: "/v1/embeddings"),
  ]

  @Test("a bad body is refused with the field's name", arguments: cases)
  func bodies(of item: Case) throws {
    let answer = try running.post(item.path, item.body)
    #expect(answer.error == (item.status, item.parameter, item.code), "\(answer.text)")
    #expect(running.engine.requests.isEmpty)
  }

  @Test("a misspelt field is refused with the right spelling")
  func suggestion() throws {
    let answer = try running.post("/v1/completions", #"{"prompt":"x","temprature":1}"#)
    #expect(
      answer.text
        == #"{"error":{"message":"unknown field 'temprature'; did you mean 'temperature'?","type":"invalid_request_error","#
        + #""param":"temprature","code":"unknown_parameter"}}"#)
  }

  @Test("a field without effect is answered with a warning")
  func withoutEffect() throws {
    let answer = try running.post("/v1/completions", #"{"prompt":"x","user":"someone"}"#)
    #expect(answer.status == 200)
    #expect(answer["warning"] == #"299 angel "without effect: user""#)
    let deeper = try running.post(
      "/v1/chat/completions", #"{"messages":[{"role":"user","content":"x","refusal":"no"}],"store":false}"#)
    #expect(deeper["warning"] == #"299 angel "without effect: messages[0].refusal""#)
    #expect(try running.post("/v1/completions", #"{"prompt":"x","best_of":1}"#)["warning"] == nil)
  }

  @Test("bytes that are no UTF-8 are a bad body")
  func invalidUTF8() throws {
    let client = try HTTPClient(running.place, seconds: 60)
    try client.send(
      "POST", "/v1/completions", headers: [("content-type", "application/json")],
      body: Array(#"{"prompt":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8))
    #expect(try client.response().error == (400, nil, "invalid_body"))
  }

  @Test("paths, methods and types that do not exist")
  func routes() throws {
    #expect(try running.get("/v1/nothing").error == (404, nil, "not_found"))
    let wrong = try running.get("/v1/completions")
    #expect(wrong.error == (405, nil, "method_not_allowed"))
    #expect(wrong["allow"] == "POST, OPTIONS")
    let form = try running.post(
      "/v1/completions", "prompt=x", headers: [("content-type", "application/x-www-form-urlencoded")])
    #expect(form.error == (415, nil, "unsupported_media_type"))
    #expect(form.text.contains("with curl: -H 'content-type: application/json'"))
    #expect(try running.ask("DELETE", "/v1/models/scripted").error == (405, nil, "method_not_allowed"))
  }

  @Test("a body beyond the limit is refused, and the connection goes on")
  func tooLarge() throws {
    let small = try RunningServer { $0.http.bodyLimit = 1000 }
    let client = try HTTPClient(small.place, seconds: 60)
    let headers = [(name: "content-type", value: "application/json")]
    try client.send("POST", "/v1/completions", headers: headers, body: [UInt8](repeating: 0x20, count: 5000))
    #expect(try client.response().error == (413, nil, "body_too_large"))
    try client.send("GET", "/health")
    #expect(try client.response().status == 200)
    // Without an end in sight it is broken off.
    try client.send("POST", "/v1/completions", headers: headers, body: [UInt8](repeating: 0x20, count: 100))
    #expect(try client.response().status == 400)
  }

  @Test("a name that is not this server's is refused where there are no keys")
  func hosts() throws {
    func ask(_ host: String, _ place: HTTPClient.Place) throws -> Int {
      let client = try HTTPClient(place, seconds: 60)
      try client.send(Array("GET /health HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8))
      return try client.response().status
    }
    #expect(try ask("localhost:1", running.place) == 200)
    #expect(try ask("[::1]:8000", running.place) == 200)
    #expect(try ask("evil.example", running.place) == 403)
    let named = try RunningServer { $0.hostNames = ["models.example"] }
    #expect(try ask("Models.Example:443", named.place) == 200)
  }

  @Test("pages of allowed origins may ask, others may not")
  func cors() throws {
    let open = try RunningServer { $0.origins = ["https://app.example"] }
    let mine = try open.get("/health", headers: [("origin", "https://app.example")])
    #expect(mine["access-control-allow-origin"] == "https://app.example")
    #expect(
      try open.get("/health", headers: [("origin", "https://other.example")])["access-control-allow-origin"] == nil)
    let question = try open.ask(
      "OPTIONS", "/v1/chat/completions",
      headers: [("origin", "https://app.example"), ("access-control-request-method", "POST")])
    #expect(question.status == 204)
    #expect(question["access-control-allow-methods"] == "POST, OPTIONS")
    #expect(
      question["access-control-allow-headers"]
        == "authorization, content-type, x-request-id, x-api-key, anthropic-version")
    #expect(
      mine["access-control-expose-headers"]
        == "x-request-id, request-id, retry-after, warning, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
        + "x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
    )
    // Clients have headers of their own, and are told that they may send them.
    for (asked, allowed) in [
      ("content-type,x-stainless-os, x-api-key", "content-type,x-stainless-os, x-api-key"),
      ("a;b", "authorization, content-type, x-request-id, x-api-key, anthropic-version"),
    ] {
      func answer(_ origin: String) throws -> String? {
        try open.ask(
          "OPTIONS", "/v1/messages", headers: [("origin", origin), ("access-control-request-headers", asked)])[
            "access-control-allow-headers"]
      }
      #expect(try answer("https://app.example") == allowed)
      #expect(try answer("https://other.example") == nil)
    }
  }
}
