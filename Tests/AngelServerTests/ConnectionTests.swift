import AngelCore
import AngelTesting
import Glibc
import Synchronization
import Testing

@testable import AngelServer

/// Connections that come and go while answers are under way.
@Suite("Connections")
struct ConnectionTests {
  private let stream = Array(#"{"prompt":"x","stream":true}"#.utf8)
  private let json: [(name: String, value: String)] = [("content-type", "application/json")]

  @Test("a client that goes away while its answer is made has its request cancelled", arguments: [true, false])
  func disconnect(streams: Bool) throws {
    let running = try RunningServer()
    running.engine.hold(true)
    do {
      let client = try HTTPClient(running.place, seconds: 60)
      try client.send(
        "POST", "/v1/completions", headers: json, body: Array(#"{"prompt":"x","stream":\#(streams)}"#.utf8))
      if streams {
        let head = try client.head()
        var body = HTTPClient.BodyReader(head)
        #expect(try client.piece(&body) != nil)
      }
      #expect(eventually { running.engine.requests.count == 1 })
      #expect(running.engine.endedCount == 0)
    }
    #expect(eventually { running.engine.endedCount == 1 })
    #expect(running.engine.cancelledCount == 1)
    #expect(eventually { running.server.exchangeCount == 0 })
    #expect(eventually { running.log.all.count == 1 })
    #expect(running.log.all[0].contains(#""broken_off":true"#))
  }

  @Test("a client that goes away in the middle of its request leaves nothing behind")
  func leavesEarly() throws {
    let running = try RunningServer()
    let text = "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n{\"a\":"
    for count in stride(from: 0, through: text.utf8.count, by: 7) {
      try HTTPClient(running.place, seconds: 60).send(Array(text.utf8.prefix(count)))
    }
    #expect(eventually { running.server.connectionCount == 0 && running.server.exchangeCount == 0 })
  }

  @Test("one connection takes request after request")
  func keepAlive() throws {
    let running = try RunningServer()
    let client = try HTTPClient(running.place, seconds: 60)
    for _ in 0..<5 {
      try client.send("POST", "/v1/completions", headers: json, body: Array(#"{"prompt":"x"}"#.utf8))
      let answer = try client.response()
      #expect(answer.status == 200 && answer["connection"] != "close")
      try client.send("POST", "/v1/completions", headers: json, body: stream)
      #expect(try client.response().text.hasSuffix("data: [DONE]\n\n"))
    }
    #expect(running.server.connectionCount == 1)
  }

  @Test("a request that comes byte by byte is answered")
  func slowWriter() throws {
    let running = try RunningServer()
    let client = try HTTPClient(running.place, seconds: 60)
    let body = #"{"prompt":"x"}"#
    let text =
      "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    for byte in text.utf8 { try client.send([byte]) }
    #expect(try client.response().status == 200)
  }

  @Test("a body that does not come is given up, and so is a head")
  func stalledWriter() throws {
    let running = try RunningServer {
      $0.http.bodySeconds = 0.2
      $0.http.headSeconds = 0.2
    }
    for text in [
      "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n{", "GET /health HTTP/1.1\r\nHo",
      "",
    ] {
      let client = try HTTPClient(running.place, seconds: 60)
      try client.send(Array(text.utf8))
      #expect(throws: HTTPClientError.self) { try client.response() }
    }
    #expect(eventually { running.server.connectionCount == 0 && running.server.exchangeCount == 0 })
  }

  @Test("ending waits for what is in hand, refuses what is new, and loses nothing")
  func drain() throws {
    let running = try RunningServer()
    running.engine.hold(true)
    let client = try HTTPClient(running.place, seconds: 60)
    try client.send("POST", "/v1/completions", headers: json, body: stream)
    var body = HTTPClient.BodyReader(try client.head())
    var text = String(decoding: try #require(try client.piece(&body)), as: UTF8.self)
    let late = try HTTPClient(running.place, seconds: 60)
    try late.send("GET", "/health")
    #expect(try late.response().status == 200)
    let ended = Flag()
    let server = running.server
    try DedicatedThread {
      server.stop()
      ended.set()
    }.detach()
    #expect(eventually { server.isDraining })
    try late.send("POST", "/v1/completions", headers: json, body: stream)
    let refusal = try late.response()
    #expect(refusal.error == (503, nil, "shutting_down"))
    #expect(refusal["retry-after"] == "5")
    #expect(!ended.isSet)
    running.engine.hold(false)
    while let piece = try client.piece(&body) { text += String(decoding: piece, as: UTF8.self) }
    #expect(text.hasSuffix("data: [DONE]\n\n"))
    #expect(eventually { ended.isSet })
    #expect(throws: HTTPClientError.self) { _ = try HTTPClient(running.place) }
  }

  @Test("ending at once breaks off suspended answers and frees the engine")
  func stopAtOnce() throws {
    let running = try RunningServer()
    running.engine.hold(true)
    let clients = try (0..<8).map { index in
      let client = try HTTPClient(running.place, seconds: 60)
      try client.send(
        "POST", "/v1/completions", headers: json, body: Array(#"{"prompt":"x","stream":\#(index % 2 == 0)}"#.utf8))
      return client
    }
    #expect(eventually { running.engine.requests.count == 8 })
    running.server.stop { true }
    #expect(eventually { running.engine.endedCount == 8 })
    for client in clients { #expect(throws: HTTPClientError.self) { while true { _ = try client.response() } } }
  }

  private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    func set() { value.store(true, ordering: .releasing) }
    var isSet: Bool { value.load(ordering: .acquiring) }
  }

  @Test("a port that is taken is named")
  func taken() throws {
    let running = try RunningServer()
    var options = HTTPOptions()
    options.port = running.place.port
    #expect(
      throws: ServerError.cannotListen(address: "127.0.0.1", port: options.port, reason: "Address already in use")
    ) { _ = try HTTPServer(options) { _ in } }
  }
}
