import AngelCore
import AngelTesting
import Testing

@testable import AngelServer

/// Who may ask, for what, and how often.
@Suite("API keys")
struct KeyTests {
  let folder: TemporaryFolder
  let file: KeyFile

  init() throws {
    folder = try TemporaryFolder()
    file = KeyFile(path: folder("keys.json"))
  }

  /// Adds a key to the file; its text.
  private func add(_ name: String, _ change: (inout APIKey) -> Void = { _ in }) throws -> String {
    var (text, key) = APIKey.make(name: name, now: 5)
    change(&key)
    try file.write(try file.read(mayBeAbsent: true) + [key])
    return text
  }

  private func serve() throws -> RunningServer { try RunningServer(keys: try KeyRing(file, log: .silent)) }

  private func bearer(_ key: String) -> [(name: String, value: String)] { [("authorization", "Bearer \(key)")] }

  @Test("a file keeps digests, and reads back what it wrote")
  func roundTrip() throws {
    let text = try add("a") { key in
      key.models = ["m"]
      key.endpoints = ["/v1/models"]
      key.requestsPerMinute = 3
      key.tokensPerMinute = 4
    }
    #expect(text.hasPrefix("ak-") && text.utf8.count == 67)
    let keys = try file.read()
    #expect(keys.map(\.name) == ["a"])
    #expect(keys[0].digest == APIKey.digest(of: text))
    #expect(keys[0].models == ["m"] && keys[0].endpoints == ["/v1/models"])
    #expect(keys[0].requestsPerMinute == 3 && keys[0].tokensPerMinute == 4 && keys[0].created == 5)
    #expect(!String(decoding: try TemporaryFolder.read(file.path), as: UTF8.self).contains(text.dropFirst(3)))
    // BLAKE2b-256 of "abc", from RFC 7693's algorithm as Python's hashlib gives it.
    #expect(APIKey.digest(of: "abc") == "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")
  }

  @Test("a file with what is not known is refused: it may have meant a restriction")
  func unknownField() throws {
    try folder.write(#"{"keys":[{"name":"a","digest":"b","created":1,"expires":9}]}"#.utf8, to: "keys.json")
    #expect(throws: ServerError.self) { try file.read() }
  }

  @Test("without a key, with a wrong one, and with the right one")
  func authorization() throws {
    let key = try add("a")
    let running = try serve()
    #expect(try running.get("/v1/models").error == (401, nil, "missing_api_key"))
    #expect(try running.get("/v1/models")["www-authenticate"] == "Bearer")
    #expect(try running.get("/v1/models", headers: bearer("ak-0")).error == (401, nil, "invalid_api_key"))
    #expect(try running.get("/v1/models", headers: [("authorization", key)]).error == (401, nil, "invalid_api_key"))
    #expect(try running.get("/v1/models", headers: bearer(key)).status == 200)
    #expect(try running.get("/health").status == 200)
    #expect(eventually { running.log.all.count == 6 })
    #expect(!running.log.all.contains { $0.contains(key) || $0.contains("ak-") })
    #expect(running.log.all.contains { $0.contains(#""key":"a""#) })
  }

  @Test("a key may come in x-api-key, and what is wrong with it is told in the path's dialect")
  func keyHeader() throws {
    let key = try add("a") { $0.endpoints = ["/v1/messages"] }
    let running = try serve()
    let body = #"{"max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#
    #expect(try running.post("/v1/messages", body, headers: [("x-api-key", key)]).status == 200)
    #expect(try running.post("/v1/messages", body, headers: bearer(key)).status == 200)
    let unknown = try running.post("/v1/messages", body, headers: [("x-api-key", "ak-0")])
    #expect(unknown.status == 401)
    #expect(try unknown.json["error"]?["type"] == "authentication_error")
    // Authorization decides where both are there.
    #expect(try running.post("/v1/messages", body, headers: bearer("ak-0") + [("x-api-key", key)]).status == 401)
    let forbidden = try running.post("/v1/messages/count_tokens", body, headers: [("x-api-key", key)])
    #expect(try forbidden.json["error"]?["type"] == "permission_error")
    #expect(
      try running.get("/api/tags").text
        == #"{"error":"there is no API key: send it in a header, 'Authorization: Bearer KEY' or 'x-api-key: KEY'"}"#)
    #expect(eventually { running.log.all.count == 6 })
    #expect(!running.log.all.contains { $0.contains(key) || $0.contains("ak-") })
  }

  @Test("a key is held to its endpoints and models")
  func scopes() throws {
    let key = try add("a") {
      $0.endpoints = ["/v1/completions"]; $0.models = ["other"]
    }
    let running = try serve()
    #expect(try running.get("/v1/models", headers: bearer(key)).error == (403, nil, "endpoint_not_allowed"))
    #expect(
      try running.post("/v1/completions", #"{"prompt":"x"}"#, headers: bearer(key)).error
        == (403, "model", "model_not_allowed"))
  }

  @Test("limits are told in headers and end in 429 with the time to wait")
  func limits() throws {
    let key = try add("a") { $0.requestsPerMinute = 2 }
    let running = try serve()
    func ask() throws -> HTTPClient.Response {
      try running.post("/v1/completions", #"{"prompt":"x"}"#, headers: bearer(key))
    }
    let first = try ask()
    #expect(first.status == 200)
    #expect(first["x-ratelimit-limit-requests"] == "2")
    #expect(first["x-ratelimit-remaining-requests"] == "1")
    #expect(try ask().status == 200)
    let third = try ask()
    #expect(third.error == (429, nil, "rate_limit_exceeded"))
    #expect(Int(third["retry-after"] ?? "") != nil)
  }

  @Test("an allowance refills steadily, and what was used beyond it has to be waited for")
  func allowance() {
    var limit = RateLimit(limit: 60, now: 0)
    #expect(limit.take(60, now: 0) == nil)
    #expect(limit.take(1, now: 0) == 1)
    #expect(limit.take(1, now: 1) == nil)
    limit.charge(30, now: 1)
    #expect(limit.take(0, now: 1) == 31)
    #expect(limit.state(now: 1).remaining == 0)
    #expect(limit.state(now: 1).resetSeconds == 90)
    #expect(limit.state(now: 1000).remaining == 60)
    #expect(RateLimit.text(seconds: 0.12) == "120ms")
    #expect(RateLimit.text(seconds: 1.5) == "1.5s")
    #expect(RateLimit.text(seconds: 360) == "6m0s")
  }

  @Test("a revoked key ends its stream with an error, and the engine's work")
  func revoked() throws {
    let key = try add("a")
    let running = try serve()
    running.engine.hold(true)
    let client = try HTTPClient(running.place, seconds: 60)
    try client.send(
      "POST", "/v1/completions", headers: bearer(key) + [("content-type", "application/json")],
      body: Array(#"{"prompt":"x","stream":true}"#.utf8))
    let head = try client.head()
    #expect(head.status == 200)
    var body = HTTPClient.BodyReader(head)
    var text = String(decoding: try #require(try client.piece(&body)), as: UTF8.self)
    #expect(text.contains("\"text\":"))
    try file.write([])
    while let piece = try client.piece(&body) { text += String(decoding: piece, as: UTF8.self) }
    #expect(text.contains(#""code":"invalid_api_key""#))
    #expect(text.hasSuffix("data: [DONE]\n\n"))
    #expect(eventually { running.engine.endedCount == 1 })
    #expect(running.engine.cancelledCount == 1)
    #expect(try running.get("/v1/models", headers: bearer(key)).status == 401)
  }
}
