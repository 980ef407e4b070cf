import AngelCore
import AngelTesting
import Testing

@testable import AngelServer

/// Whole answers and streams, byte for byte, through a socket.
@Suite("Answers over HTTP")
struct AnswerTests {
  let running: RunningServer

  init() throws { running = try RunningServer() }

  @Test("a chat is answered as OpenAI's interface has it")
  func chat() throws {
    let answer = try running.post(
      "/v1/chat/completions", #"{"model":"scripted","messages":[{"role":"user","content":"Hi"}],"temperature":0}"#)
    #expect(answer.status == 200)
    #expect(answer["content-type"] == "application/json")
    #expect(answer["x-request-id"] == "one")
    let (prompt, script) = try counts("user: Hi\nassistant:")
    #expect(
      answer.timeless == #"{"id":"chatcmpl-one","object":"chat.completion","created":0,"model":"scripted","#
        + #""system_fingerprint":"angel-test","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there.","#
        + #""refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":\#(prompt),"#
        + #""completion_tokens":\#(script),"total_tokens":\#(prompt + script),"prompt_tokens_details":{"cached_tokens":0}}}"#
    )
  }

  /// Tokens of a prompt that a template wrote, and of the script.
  private func counts(_ prompt: String) throws -> (prompt: Int, script: Int) {
    let tokenizer = running.engine.tokenizer
    return (
      try tokenizer.encode(prompt, addingSpecialTokens: false).count,
      try tokenizer.encode("Hello there.", addingSpecialTokens: false).count
    )
  }

  @Test("a chat's stream is a role, pieces, an end, the usage asked for, and [DONE]")
  func stream() throws {
    let answer = try running.post(
      "/v1/chat/completions",
      #"{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"stream":true,"#
        + #""stream_options":{"include_usage":true}}"#)
    #expect(answer["content-type"] == "text/event-stream; charset=utf-8")
    #expect(answer["transfer-encoding"] == "chunked")
    let start =
      #"data: {"id":"chatcmpl-one","object":"chat.completion.chunk","created":0,"model":"scripted","#
      + #""system_fingerprint":"angel-test","choices":["#
    let blocks = answer.timeless.split(separator: "\n\n").map(String.init)
    func entry(_ delta: String, _ reason: String = "null") -> String {
      start + #"{"index":0,"delta":\#(delta),"logprobs":null,"finish_reason":\#(reason)}],"usage":null}"#
    }
    #expect(blocks.first == entry(#"{"role":"assistant","content":""}"#))
    let (prompt, script) = try counts("user: Hi\nassistant:")
    #expect(blocks.suffix(3).first == entry("{}", #""stop""#))
    #expect(
      blocks.suffix(2).first == start
        + #"],"usage":{"prompt_tokens":\#(prompt),"completion_tokens":\#(script),"total_tokens":\#(prompt + script),"#
        + #""prompt_tokens_details":{"cached_tokens":0}}}"#)
    #expect(blocks.last == "data: [DONE]")
    let texts = try blocks.dropFirst().dropLast(3).map { block in
      try JSONValue(parsing: String(block.dropFirst(6)))["choices"]?.array?[0]["delta"]?["content"]?.string ?? "?"
    }
    #expect(texts.joined() == "Hello there.")
    #expect(texts.count == script)
  }

  @Test("a plain completion is cut by stop texts and by its length, 16 where none is given")
  func completion() throws {
    let stopped = try running.post("/v1/completions", #"{"prompt":"Hi","stop":" there"}"#)
    #expect(try stopped.json["choices"]?.array?[0]["text"] == "Hello")
    #expect(try stopped.json["choices"]?.array?[0]["finish_reason"] == "stop")
    let cut = try running.post("/v1/completions", #"{"prompt":"Hi","max_tokens":1}"#)
    #expect(try cut.json["choices"]?.array?[0]["finish_reason"] == "length")
    #expect(try cut.json["usage"]?["completion_tokens"] == 1)
    #expect(running.engine.requests.map(\.sampling.maxTokens) == [16, 1])
  }

  @Test("several prompts with several answers each are numbered prompt by prompt")
  func numbering() throws {
    let answer = try running.post("/v1/completions", #"{"prompt":["A","B"],"n":2,"max_tokens":2,"echo":true}"#)
    let choices = try #require(try answer.json["choices"]?.array)
    #expect(choices.map { $0["index"]?.integer } == [0, 1, 2, 3])
    #expect(choices.map { $0["text"]?.string?.first } == ["A", "A", "B", "B"])
    #expect(running.engine.requests.map(\.answerCount) == [2, 2])
  }

  @Test("echo with logprobs reports the prompt's tokens first, the very first without a number")
  func echo() throws {
    let answer = try running.post(
      "/v1/completions", #"{"prompt":[5,6],"echo":true,"logprobs":1,"max_tokens":0}"#)
    let choice = try #require(try answer.json["choices"]?.array?.first)
    let logprobs = try #require(choice["logprobs"])
    #expect(logprobs["tokens"]?.array?.count == 2)
    #expect(logprobs["token_logprobs"] == [nil, -0.5])
    #expect(logprobs["top_logprobs"]?.array?[0] == .null)
    let text = running.engine.tokenizer
    let (first, second) = (TokenText(tokenizer: text).text(5), TokenText(tokenizer: text).text(6))
    #expect(logprobs["top_logprobs"]?.array?[1] == .object(JSONObject([(second, -0.5)])))
    #expect(logprobs["text_offset"] == [0, .integer(first.unicodeScalars.count)])
    #expect(choice["text"] == .string(first + second))
    #expect(try answer.json["usage"]?["completion_tokens"] == 0)
    #expect(choice["finish_reason"] == "length")
  }

  @Test("a chat's log-probabilities have tokens, bytes and the likeliest")
  func chatLogprobs() throws {
    let answer = try running.post(
      "/v1/chat/completions",
      #"{"messages":[{"role":"user","content":"Hi"}],"logprobs":true,"top_logprobs":2,"max_completion_tokens":1}"#)
    let content = try #require(try answer.json["choices"]?.array?[0]["logprobs"]?["content"]?.array)
    #expect(content.count == 1)
    let token = try #require(content[0]["token"]?.string)
    #expect(content[0]["bytes"]?.array?.compactMap(\.integer) == token.utf8.map { Int($0) })
    #expect(content[0]["logprob"] == -0.25)
    #expect(content[0]["top_logprobs"]?.array?.map { $0["logprob"]?.double } == [-0.25, -1.25])
  }

  @Test("fields of the interface reach the engine")
  func parameters() throws {
    _ = try running.post(
      "/v1/completions",
      #"{"prompt":"x","temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.1,"repetition_penalty":1.5,"seed":7,"#
        + #""presence_penalty":1,"frequency_penalty":-1,"stop":["a","b"],"logit_bias":{"5":-100},"n":3,"priority":-2,"#
        + #""ignore_eos":true,"max_tokens":4,"logprobs":2,"user":null}"#)
    let request = try #require(running.engine.requests.first)
    let sampling = request.sampling
    #expect(sampling.temperature == 0.5 && sampling.topP == 0.9 && sampling.topK == 40 && sampling.minP == 0.1)
    #expect(sampling.repetitionPenalty == 1.5 && sampling.presencePenalty == 1 && sampling.frequencyPenalty == -1)
    #expect(sampling.seed == 7 && sampling.stop == ["a", "b"] && sampling.logitBias == [5: -100])
    #expect(sampling.ignoresEndToken && sampling.maxTokens == 4 && sampling.logprobs == 2)
    #expect(request.answerCount == 3 && request.priority == -2 && request.promptLogprobs == nil)
  }

  @Test("what an engine refuses or fails at is told in OpenAI's words, in a stream too")
  func failures() throws {
    running.engine.refuse(with: .queueFull(queuedTokens: 9, limit: 8, retryAfterSeconds: 3))
    let full = try running.post("/v1/completions", #"{"prompt":"x"}"#)
    #expect(full.error == (429, nil, "queue_full"))
    #expect(full["retry-after"] == "3")
    running.engine.refuse(with: nil)
    running.engine.fail(with: EngineErrorStub())
    #expect(try running.post("/v1/completions", #"{"prompt":"x"}"#).error == (500, nil, "internal_error"))
    let stream = try running.post("/v1/completions", #"{"prompt":"x","stream":true}"#)
    #expect(stream.status == 200)
    #expect(
      stream.text
        == #"data: {"error":{"message":"the engine stumbled","type":"server_error","param":null,"code":"internal_error"}}"#
        + "\n\ndata: [DONE]\n\n")
  }

  private struct EngineErrorStub: DescribedError {
    var description: String { "the engine stumbled" }
  }

  @Test("small endpoints")
  func small() throws {
    #expect(try running.get("/health").text == #"{"status":"ok"}"#)
    #expect(try running.get("/version").text == #"{"version":"test"}"#)
    #expect(try running.get("/ready").text == #"{"status":"ready","model":"scripted"}"#)
    #expect(
      try running.get("/v1/models").text
        == #"{"object":"list","data":[{"id":"scripted","object":"model","created":1,"owned_by":"angel","#
        + #""root":"scripted","parent":null,"max_model_len":256,"loaded":true}]}"#)
    #expect(try running.get("/v1/models/scripted").json["id"] == "scripted")
    #expect(try running.get("/v1/models/other").error == (404, "model", "model_not_found"))
    #expect(try running.ask("HEAD", "/health").status == 200)
  }

  @Test("/ready says no when the engine makes no token")
  func notReady() throws {
    running.engine.fail(with: EngineErrorStub())
    let answer = try running.get("/ready")
    #expect(answer.error == (503, nil, "internal_error"))
  }

  @Test("tokens of texts and conversations, and back")
  func tokens() throws {
    let answer = try running.post(
      "/tokenize", #"{"prompt":"Hello","add_special_tokens":false,"return_token_strs":true}"#)
    let tokens = try running.engine.tokenizer.encode("Hello", addingSpecialTokens: false)
    #expect(try answer.json["count"]?.integer == tokens.count)
    #expect(try answer.json["max_model_len"] == 256)
    #expect(try answer.json["tokens"]?.array?.compactMap(\.integer) == tokens.map { Int($0) })
    #expect(try answer.json["token_strs"]?.array?.compactMap(\.string).joined() == "Hello")
    let back = try running.post("/detokenize", "{\"tokens\":\(tokens)}")
    #expect(back.text == #"{"prompt":"Hello"}"#)
    let chat = try running.post("/tokenize", #"{"messages":[{"role":"user","content":"Hi"}]}"#)
    #expect(try chat.json["count"]?.integer == counts("user: Hi\nassistant:").prompt)
    #expect(try running.post("/tokenize", "{}").error == (400, "prompt", "invalid_value"))
    #expect(try running.post("/detokenize", #"{"tokens":[99999999]}"#).error == (400, "tokens", "invalid_value"))
  }

  @Test("vectors as numbers and as base64")
  func embeddings() throws {
    let answer = try running.post("/v1/embeddings", #"{"input":[[1,2],[3]]}"#)
    #expect(
      answer.text == #"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[2,0.5,-1]},"#
        + #"{"object":"embedding","index":1,"embedding":[1,0.5,-1]}],"model":"scripted","#
        + #""usage":{"prompt_tokens":3,"total_tokens":3}}"#)
    let packed = try running.post("/v1/embeddings", #"{"input":[1,2],"encoding_format":"base64","dimensions":3}"#)
    // 2, 0.5 and -1 in float32, low byte first.
    #expect(try packed.json["data"]?.array?[0]["embedding"] == "AAAAQAAAAD8AAIC/")
    #expect(
      try running.post("/v1/embeddings", #"{"input":"x","dimensions":2}"#).error == (400, "dimensions", "invalid_value")
    )
  }

  @Test("metrics have vLLM's names")
  func metrics() throws {
    _ = try running.post("/v1/completions", #"{"prompt":"x","max_tokens":3}"#)
    let labels = #"model_name="scripted",engine="0""#
    // The engine may still be putting the request away when its answer is there.
    var text = ""
    #expect(
      eventually {
        text = (try? running.get("/metrics").text) ?? ""
        // A request is counted once its last byte has been taken, which may be after the client has read it.
        return text.contains("vllm:num_requests_running{\(labels)} 0\n") && text.contains(#"handler="/v1/completions""#)
      })
    #expect(text.contains("# TYPE vllm:time_to_first_token_seconds histogram\n"))
    #expect(text.contains("vllm:request_success_total{\(labels),finished_reason=\"length\"} 1\n"))
    #expect(text.contains("vllm:e2e_request_latency_seconds_count{\(labels)} 1\n"))
    #expect(text.contains("vllm:inter_token_latency_seconds_count{\(labels)} 2\n"))
    #expect(text.contains(#"http_requests_total{handler="/v1/completions",method="POST",status="200"} 1"#))
  }

  @Test("the log has figures, and nothing of what was asked or answered")
  func log() throws {
    _ = try running.post("/v1/completions", #"{"prompt":"a secret","max_tokens":3}"#)
    #expect(eventually { running.log.all.count == 1 })
    let line = try JSONValue(parsing: running.log.all[0])
    #expect(line["path"] == "/v1/completions" && line["status"] == 200 && line["completion_tokens"] == 3)
    #expect(line["request"] == "one" && line["client"] == "127.0.0.1" && line["model"] == "scripted")
    #expect(!running.log.all[0].contains("secret") && !running.log.all[0].contains("Hello"))
  }
}
