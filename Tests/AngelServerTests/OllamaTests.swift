import AngelCore
import AngelGrammar
import AngelTesting
import Testing

@testable import AngelServer

/// Ollama's interface through a socket.
@Suite("Ollama's interface over HTTP")
struct OllamaTests {
  private static let hi = #""model":"scripted","messages":[{"role":"user","content":"Hi"}]"#

  /// An answer with its times taken out.
  private func timeless(_ json: JSONValue) -> JSONValue {
    guard case .object(var object) = json else { return json }
    for name in ["created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"] {
      if object[name] != nil { object[name] = 0 }
    }
    return .object(object)
  }

  private func end(_ running: RunningServer, _ model: String, _ start: JSONObject, tokens: Int) -> JSONValue {
    let prompt = running.engine.requests.last?.prompt.count ?? 0
    var object = JSONObject([("model", .string(model)), ("created_at", 0)])
    for member in start.members { object[member.key] = member.value }
    for (name, value) in [
      ("done", true), ("done_reason", "stop"), ("total_duration", 0), ("load_duration", 0),
      ("prompt_eval_count", .integer(prompt)), ("prompt_eval_duration", 0), ("eval_count", .integer(tokens)),
      ("eval_duration", 0),
    ] as [(String, JSONValue)] { object[name] = value }
    return .object(object)
  }

  @Test("a chat is a line for each piece and one with the figures, unless it is wanted whole")
  func chat() throws {
    let running = try RunningServer()
    let script = try running.engine.tokenizer.encode("Hello there.", addingSpecialTokens: false)
    let answer = try running.post("/api/chat", "{\(Self.hi)}")
    #expect(answer["content-type"] == "application/x-ndjson")
    var lines = try answer.lines.map(timeless)
    #expect(
      lines.removeLast()
        == end(
          running, "scripted", JSONObject([("message", ["role": "assistant", "content": ""])]), tokens: script.count))
    let pieces = try script.map { try running.engine.tokenizer.decode([$0], skippingSpecialTokens: false) }
    #expect(
      lines
        == pieces.map { piece in
          [
            "model": "scripted", "created_at": 0, "message": ["role": "assistant", "content": .string(piece)],
            "done": false,
          ]
        })
    let whole = try running.post("/api/chat", #"{"stream":false,\#(Self.hi)}"#)
    #expect(whole["content-type"] == "application/json")
    let message: JSONValue = ["role": "assistant", "content": "Hello there."]
    #expect(
      try timeless(whole.json)
        == end(running, "scripted", JSONObject([("message", message)]), tokens: script.count))
    let time = try #require(try whole.json["created_at"]?.string)
    #expect(time.wholeMatch(of: /20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
  }

  @Test("a text is answered as a user's turn, or goes on as it is with raw")
  func generate() throws {
    let running = try RunningServer()
    let script = try running.engine.tokenizer.encode("Hello there.", addingSpecialTokens: false).count
    let whole = try running.post(
      "/api/generate", #"{"model":"scripted:latest","prompt":"Hi","system":"S","stream":false}"#)
    #expect(
      try timeless(whole.json)
        == end(running, "scripted:latest", JSONObject([("response", "Hello there.")]), tokens: script))
    let lines = try running.post("/api/generate", #"{"model":"scripted","prompt":"Hi","raw":true}"#).lines
    #expect(lines.compactMap { $0["response"]?.string }.joined() == "Hello there.")
    let bare = try running.engine.tokenizer.encode("Hi", addingSpecialTokens: true)
    #expect(running.engine.requests[1].prompt == bare)
    #expect(try running.prompts[0] == "system: S\nuser: Hi\nassistant:")
  }

  @Test("a question without words loads the model")
  func loading() throws {
    let running = try RunningServer()
    for (path, body, member) in [
      ("/api/chat", #"{"model":"scripted","messages":[]}"#, "message"),
      ("/api/generate", #"{"model":"scripted"}"#, "response"),
    ] {
      let json = try running.post(path, body).json
      #expect(json["done"] == true && json["done_reason"] == "load" && json[member] != nil)
    }
    #expect(running.engine.requests.isEmpty)
  }

  @Test("keep_alive 0 without words is answered as Ollama does, and loads nothing")
  func unloading() throws {
    let other = ServedModel(name: "other", created: 1) {
      OpenedModel(byteCount: 1) { .language(try ScriptedEngine()) }
    }
    let running = try RunningServer(others: [other])
    for value in ["0", "\"0\"", "\"0s\"", "0.0"] {
      for (path, member) in [("/api/generate", "response"), ("/api/chat", "message")] {
        let answer = try running.post(path, #"{"model":"other:latest","keep_alive":\#(value)}"#)
        let json = try answer.json
        #expect(json["done"] == true && json["done_reason"] == "unload" && json[member] != nil)
        #expect(json["model"] == "other:latest" && answer["warning"] == #"299 angel "without effect: keep_alive""#)
      }
    }
    #expect(!running.server.shelf.isLoaded("other"))
    #expect(try running.post("/api/generate", #"{"model":"none","keep_alive":0}"#).status == 404)
    for value in ["-1", "\"5m\"", "\"\"", "\"0x\""] {
      let json = try running.post("/api/generate", #"{"model":"other","keep_alive":\#(value)}"#).json
      #expect(json["done_reason"] == "load", "\(value)")
    }
    #expect(running.server.shelf.isLoaded("other"))
  }

  @Test("think may say how much, which means true")
  func levels() throws {
    let running = try Dialogue.server()
    for level in ["low", "medium", "high"] {
      let answer = try running.post("/api/chat", "{\(Self.hi),\"think\":\"\(level)\"}")
      #expect(answer.status == 200 && answer["warning"] == "299 angel \"without effect: think: \(level)\"")
      #expect(try running.prompts.last == "thinking True;user: Hi;assistant:")
    }
    let raw = try running.post("/api/generate", #"{"model":"scripted","prompt":"x","raw":true,"think":"low"}"#)
    #expect(raw.status == 400)
  }

  @Test("a model without a chat template, and one without texts, are told what to ask instead")
  func remedies() throws {
    let bare = try RunningServer(ScriptedEngine(template: nil), others: [RunningServer.encoder()])
    let missing = "this model's files have no chat template: "
    for (path, body, message) in [
      ("/api/chat", Self.hi, missing + #"use /api/generate with "raw": true"#),
      (
        "/api/generate", #""model":"scripted","prompt":"x""#,
        missing + #"say "raw": true, and the text goes on as it is"#
      ),
      (
        "/api/generate", #""model":"encoder","prompt":"x""#,
        "'model' names 'encoder', which makes vectors, not text: use /api/embed"
      ),
    ] {
      let answer = try bare.post(path, "{\(body)}")
      #expect(try answer.status == 400 && answer.json == ["error": .string(message)], "\(answer.text)")
    }
    #expect(try bare.post("/api/generate", #"{"model":"scripted","prompt":"x","raw":true}"#).status == 200)
    let other = try bare.post("/v1/chat/completions", "{\(Self.hi)}").json["error"]?["message"]
    #expect(other == .string(missing + "use /v1/completions"))
  }

  @Test("thoughts and calls stand apart; a call comes whole, its arguments an object")
  func parts() throws {
    let tools =
      #""tools":[{"type":"function","function":{"name":"weather"}},{"type":"function","function":{"name":"now"}}]"#
    let whole = try Dialogue.server().post("/api/chat", "{\(Self.hi),\(tools),\"stream\":false}").json["message"]
    #expect(whole?["content"] == "I ask." && whole?["thinking"] == "hm")
    let calls = try #require(whole?["tool_calls"]?.array)
    #expect(
      calls.map { $0["function"] } == [
        ["index": 0, "name": "weather", "arguments": ["city": "Köln"]], ["index": 1, "name": "now", "arguments": [:]],
      ])
    let lines = try Dialogue.server().post("/api/chat", "{\(Self.hi),\(tools)}").lines.map { $0["message"] ?? nil }
    #expect(lines.compactMap { $0["thinking"]?.string }.joined() == "hm")
    #expect(lines.compactMap { $0["content"]?.string }.joined() == "I ask.")
    #expect(lines.flatMap { $0["tool_calls"]?.array ?? [] }.map { $0["function"] } == calls.map { $0["function"] })
  }

  @Test("what the official client sends is served, and reaches template and sampler")
  func recorded() throws {
    let running = try Dialogue.server()
    for call in ["chat", "chat format", "generate", "generate raw", "embed", "ps", "list"] {
      let answer = try running.ask(recorded: call)
      #expect(answer.status == 200 && answer["warning"] == nil, "\(call): \(answer.text)")
    }
    let count = running.engine.requests.count
    #expect(count == 4)
    let stream = try running.ask(recorded: "chat stream")
    #expect(stream["warning"] == #"299 angel "without effect: options.num_ctx, keep_alive""#)
    #expect(try stream.lines.allSatisfy { $0["model"] == "scripted:latest" })
    #expect(
      try running.prompts.last == "thinking True;tool weather;user: Hi;assistant: weather Bonn;"
        + "tool weather: rain;assistant:")
    let (first, last) = (running.engine.requests[0].sampling, running.engine.requests[count].sampling)
    #expect(first.temperature == 0.8 && first.topK == 40 && first.topP == 0.9 && first.repetitionPenalty == 1)
    #expect(last.temperature == 0 && last.maxTokens == 100 && last.seed == 1 && last.stop == ["END"])
    for (index, text, wrong) in [(1, #"{"city":"B"}"#, #"{"town":"B"}"#), (2, #"{"any":[1]}"#, "[]")] {
      var matcher = TokenMatcher(try #require(running.engine.requests[index].constraint))
      let isTaken = matcher.accept(Array(text.utf8)) && matcher.canEnd
      #expect(isTaken)
      var other = TokenMatcher(try #require(running.engine.requests[index].constraint))
      let isRefused = !(other.accept(Array(wrong.utf8)) && other.canEnd)
      #expect(isRefused)
    }
  }

  @Test("log-probabilities of whole answers and of lines")
  func logprobs() throws {
    let running = try RunningServer()
    let body = Self.hi + #","logprobs":true,"top_logprobs":1,"options":{"num_predict":2}"#
    let whole = try running.post("/api/chat", #"{"stream":false,\#(body)}"#).json
    let all = try #require(whole["logprobs"]?.array)
    #expect(all.map { $0["logprob"]?.double } == [-0.25, -0.5] && whole["done_reason"] == "length")
    #expect(all.allSatisfy { $0["top_logprobs"]?.array?.count == 1 })
    #expect(try running.post("/api/chat", "{\(body)}").lines.flatMap { $0["logprobs"]?.array ?? [] } == all)
  }

  @Test("models are listed with what their files say")
  func models() throws {
    var facts = ModelFacts(
      format: "gguf", family: "qwen3", parameterCount: 596_000_000, quantization: "Q4_0", byteCount: 5000,
      chatTemplate: Dialogue.template, isEncoder: false, contextLength: 2048, embeddingLength: 64,
      digest: "0123456789abcdef")
    let engine = try ScriptedEngine()
    let model = ServedModel(name: "m", created: 86_400, facts: facts) {
      OpenedModel(byteCount: 100) { .language(engine) }
    }
    facts.isEncoder = true
    facts.digest = nil
    facts.embeddingLength = nil
    let other = ServedModel(name: "e", created: 1, path: "/e", facts: facts) {
      OpenedModel(byteCount: 100) { .language(try ScriptedEngine()) }
    }
    let adapter = ServedAdapter(name: "a", base: "e", path: "/a", created: 2)
    let running = try RunningServer(models: [model, other], adapters: [adapter])
    let details =
      #""details":{"parent_model":"","format":"gguf","family":"qwen3","families":["qwen3"],"parameter_size":"596.0M","#
      + #""quantization_level":"Q4_0"}"#
    let entry =
      #"{"name":"m","model":"m","modified_at":"1970-01-02T00:00:00Z","size":5000,"#
      + #""digest":"0123456789abcdef",\#(details)}"#
    let tags = try running.get("/api/tags")
    #expect(tags.text.hasPrefix(#"{"models":[\#(entry),"#))
    #expect(try tags.json["models"]?.array?.map { $0["name"] } == ["m", "e", "a"])
    #expect(try tags.json["models"]?.array?[2]["details"]?["parent_model"] == "e")
    #expect(
      try running.get("/api/ps").text
        == #"{"models":[{"name":"m","model":"m","size":5000,"digest":"0123456789abcdef",\#(details),"#
        + #""expires_at":"2300-01-01T00:00:00Z","size_vram":0,"context_length":256}]}"#)
    // What was not pulled has one of what is known of it: Ollama's command shows twelve digits of every one.
    let digests = try tags.json["models"]?.array?.map { $0["digest"]?.string ?? "" } ?? []
    #expect(digests[1...].allSatisfy { $0.wholeMatch(of: /[0-9a-f]{64}/) != nil } && Set(digests).count == 3)
    #expect(try running.get("/api/tags").text == tags.text)
    let shown = try running.post("/api/show", #"{"model":"m:latest"}"#).json
    #expect(shown["capabilities"] == ["completion", "tools", "thinking"])
    #expect(
      shown["model_info"] == [
        "general.architecture": "qwen3", "general.parameter_count": 596_000_000, "qwen3.context_length": 2048,
        "qwen3.embedding_length": 64,
      ])
    #expect(shown["template"] == .string(Dialogue.template))
    let encoder = try running.post("/api/show", #"{"model":"e"}"#).json
    #expect(encoder["capabilities"] == ["embedding"] && encoder["details"]?["family"] == "qwen3")
    // Ollama's command wants both sizes or no model_info.
    #expect(encoder["model_info"] == nil)
    // As Ollama's own command writes it.
    let long = #"{"model":"","system":"","template":"","verbose":false,"options":null,"name":"m"}"#
    #expect(try running.post("/api/show", long).json == shown)
    #expect(try running.post("/api/show", #"{"model":"m","name":"m"}"#).json == shown)
    // What an adapter's turns are written by is its folder's to say, or its model's.
    #expect(try running.post("/api/show", #"{"model":"a"}"#).json["template"] == nil)
    #expect(try running.ask("HEAD", "/").status == 200)
    #expect(try running.get("/api/version").text == #"{"version":"test"}"#)
  }

  @Test("vectors are those of /v1/embeddings")
  func vectors() throws {
    let running = try RunningServer()
    let answer = try running.post("/api/embed", #"{"model":"scripted","input":["a","bb"]}"#).json
    let texts = try ["a", "bb"].map { try running.engine.tokenizer.encode($0, addingSpecialTokens: true).count }
    #expect(answer["embeddings"] == .array(texts.map { [.integer($0), 0.5, -1] }))
    #expect(answer["prompt_eval_count"]?.integer == texts.reduce(0, +) && answer["model"] == "scripted")
    let drawn = try running.post("/api/embed", #"{"model":"scripted","input":"a","options":{"temperature":0}}"#)
    #expect(drawn.status == 200 && drawn["warning"] == #"299 angel "without effect: options""#)
    let long = String(repeating: "x", count: 300)
    #expect(
      try running.post("/api/embed", #"{"model":"scripted","input":"\#(long)"}"#).json["prompt_eval_count"] == 256)
    #expect(try running.post("/api/embed", #"{"model":"scripted","input":"\#(long)","truncate":false}"#).status == 400)
  }

  /// A body and the beginning of the words it is refused with.
  static let refusals: [(path: String, body: String, status: Int, message: String)] = [
    ("/api/chat", #""messages":[]"#, 400, "'model' is missing"),
    ("/api/chat", #""model":"none:latest""#, 404, "there is no model 'none'"),
    ("/api/chat", hi + #","format":"yaml""#, 400, "'format' must be"),
    ("/api/chat", hi + #","think":true"#, 400, "'think' asks for thoughts"),
    ("/api/chat", hi + #","options":{"mirostat":2}"#, 400, "'options.mirostat' is not supported"),
    ("/api/chat", hi + #","options":{"num_predict":0}"#, 400, "'options.num_predict' is 0"),
    ("/api/chat", hi + #","options":{"top_p":0}"#, 400, "'options.top_p' is 0.0"),
    ("/api/chat", hi + #","options":{"temprature":0}"#, 400, "unknown field 'options.temprature'"),
    ("/api/chat", hi + #","top_logprobs":1"#, 400, "'top_logprobs' goes with"),
    (
      "/api/chat", #""model":"scripted","messages":[{"role":"user","content":"x","images":["aa"]}]"#, 400,
      "'messages[0].images' is not supported"
    ),
    ("/api/chat", hi + #","truncate":true"#, 400, "'truncate' is not supported"),
    ("/api/generate", #""model":"scripted","prompt":"x","template":"y""#, 400, "'template' is not supported"),
    ("/api/generate", #""model":"scripted","prompt":"x","context":[1]"#, 400, "'context' is not supported"),
    ("/api/generate", #""model":"scripted","prompt":"x","suffix":"y""#, 400, "'suffix' is not supported"),
    ("/api/generate", #""model":"scripted","prompt":"x","raw":true,"system":"y""#, 400, "'system' does not go with"),
    ("/api/embed", #""model":"scripted","input":"x","dimensions":2"#, 400, "'dimensions' is 2"),
    ("/api/embed", #""model":"scripted","input":"""#, 400, "'input[0]' has no tokens"),
    ("/api/embed", #""model":"scripted","input":"x","options":5"#, 400, "'options' must be"),
    ("/api/show", #""model":"none""#, 404, "there is no model 'none'"),
    ("/api/show", #""name":"none""#, 404, "there is no model 'none'"),
    ("/api/show", #""model":"","name":"""#, 400, "'model' is missing: it must be a string"),
    ("/api/show", #""model":"scripted","name":"other""#, 400, "'name' is 'other', 'model' is 'scripted': give one"),
    (
      "/api/chat", #""model":"scripted","messages":[{"role":"user"},{"role":"assistant","content":"So"}]"#, 400,
      "'messages[1].role' is 'assistant': an answer whose beginning is given is not supported"
    ),
    ("/api/pull", #""model":"none""#, 404, "there is nothing at '/api/pull'"),
  ]

  @Test("what is wrong is told in Ollama's form", arguments: refusals.indices)
  func refusal(_ index: Int) throws {
    let (running, item) = (try RunningServer(), Self.refusals[index])
    let answer = try running.post(item.path, "{\(item.body)}")
    #expect(answer.status == item.status)
    let json = try #require(try answer.json.object)
    #expect(json.members.map(\.key) == ["error"])
    #expect(json["error"]?.string?.hasPrefix(item.message) == true, "\(answer.text)")
  }

  @Test("an engine that fails ends a stream with an error's line; a client that goes away cancels")
  func endings() throws {
    struct Stumble: DescribedError { var description: String { "the engine stumbled" } }
    let running = try RunningServer()
    running.engine.fail(with: Stumble())
    #expect(try running.post("/api/chat", "{\(Self.hi)}").text == "{\"error\":\"the engine stumbled\"}\n")
    running.engine.fail(with: nil)
    running.engine.hold(true)
    do {
      let client = try HTTPClient(running.place, seconds: 60)
      try client.send(
        "POST", "/api/chat", headers: [("content-type", "application/json")], body: Array("{\(Self.hi)}".utf8))
      let head = try client.head()
      var body = HTTPClient.BodyReader(head)
      #expect(try client.piece(&body) != nil)
    }
    #expect(eventually { running.engine.endedCount == 2 })
    // Both: a request that has failed is let go of too.
    #expect(running.engine.cancelledCount == 2)
  }
}
