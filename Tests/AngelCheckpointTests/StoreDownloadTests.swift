import AngelCore
import AngelTesting
import Synchronization
import Testing

@testable import AngelCheckpoint

@Suite("Downloads", .enabled(if: HTTPSession.isAvailable, "libcurl is not installed"))
struct StoreDownloadTests {
  let folder: TemporaryFolder
  let store: ModelStore
  let body = storeSampleGGUF(300_000)

  init() throws {
    folder = try TemporaryFolder()
    store = ModelStore(root: folder("home"))
  }

  private func pull(
    _ server: LoopbackServer, path: String = "/m.gguf", attempts: Int = 0, interruption: Interruption = Interruption(),
    progress: ProgressReporter = .silent, sha256: String? = nil
  ) throws -> ModelPull.Result {
    var pull = ModelPull(
      store: store, environment: Environment([:]), interruption: interruption, progress: progress)
    pull.patience = Patience(attempts: attempts, pauseSeconds: 0, connectSeconds: 10, stallSeconds: 10)
    var request = ModelPull.Request(source: server.address + path)
    request.sha256 = sha256
    return try pull.run(request)
  }

  private func isEmpty() -> Bool {
    folder.files(below: "home").allSatisfy { $0.hasSuffix("/") }
  }

  @Test("a file arrives whole and is not fetched twice")
  func whole() throws {
    let server = try LoopbackServer(["/m.gguf": .init(body)])
    #expect(try TemporaryFolder.read(try pull(server).model.path) == body)
    #expect(try pull(server).wasPresent)
    #expect(server.requests.count == 1)
    #expect(folder.files(below: "home/downloads").isEmpty)
  }

  @Test("a cut download is continued by the next pull from where it stopped")
  func resumed() throws {
    let server = try LoopbackServer([
      "/m.gguf": .init(body, entityTag: "\"v1\"", conduct: .cuts(after: 100_000, times: 1))
    ])
    #expect(throws: StoreError.self) { try pull(server) }
    #expect(folder.files(below: "home").filter { !$0.hasSuffix("/") }.allSatisfy { $0.contains("downloads/") })
    #expect(try store.unfinishedDownloads().map(\.source) == [server.address + "/m.gguf"])
    let model = try pull(server, sha256: SHA256.hexadecimal(of: body)).model
    #expect(try TemporaryFolder.read(model.path) == body)
    #expect(server.requests.last == .init(path: "/m.gguf", range: "bytes=100000-", condition: "\"v1\""))
    #expect(folder.files(below: "home/downloads").isEmpty)
  }

  @Test("connections that break are taken up again within one pull as long as something arrives")
  func retried() throws {
    let server = try LoopbackServer([
      "/m.gguf": .init(body, entityTag: "\"v1\"", conduct: .cuts(after: 70_000, times: 3))
    ])
    #expect(try TemporaryFolder.read(try pull(server, attempts: 2).model.path) == body)
    #expect(server.requests.map(\.range) == [nil, "bytes=70000-", "bytes=140000-", "bytes=210000-"])
  }

  @Test("a server that cuts every time and cannot continue is given up")
  func hopeless() throws {
    for tag in [nil, "\"v1\""] {
      let server = try LoopbackServer([
        "/m.gguf": .init(body, entityTag: tag, conduct: .claims(length: body.count + 1))
      ])
      #expect(throws: StoreError.self) { try pull(server, attempts: 2) }
      #expect(server.requests.count <= 4)
    }
  }

  @Test("a file that changed in between is fetched anew")
  func changed() throws {
    let server = try LoopbackServer([
      "/m.gguf": .init(storeSampleGGUF(200_000), entityTag: "\"v1\"", conduct: .cuts(after: 50_000, times: 1))
    ])
    #expect(throws: StoreError.self) { try pull(server) }
    server.setRoute("/m.gguf", .init(body.reversed().suffix(0) + body, entityTag: "\"v2\""))
    #expect(try TemporaryFolder.read(try pull(server).model.path) == body)
  }

  @Test("a part without a validator is not kept, and one the server cannot continue starts anew")
  func notResumable() throws {
    let server = try LoopbackServer(["/m.gguf": .init(body, conduct: .cuts(after: 50_000, times: 1))])
    #expect(throws: StoreError.self) { try pull(server) }
    #expect(isEmpty())
    server.setRoute("/m.gguf", .init(body, entityTag: "\"v1\"", conduct: .cuts(after: 50_000, times: 1)))
    #expect(throws: StoreError.self) { try pull(server) }
    server.setRoute("/m.gguf", .init(body, entityTag: "\"v1\"", conduct: .ignoresRanges))
    #expect(try TemporaryFolder.read(try pull(server).model.path) == body)
  }

  @Test("a server that sends another range than the one asked for is not believed")
  func shifted() throws {
    let server = try LoopbackServer([
      "/m.gguf": .init(body, entityTag: "\"v1\"", conduct: .cuts(after: 50_000, times: 1))
    ])
    #expect(throws: StoreError.self) { try pull(server) }
    server.setRoute("/m.gguf", .init(body, entityTag: "\"v1\"", conduct: .shiftsRanges))
    #expect(throws: StoreError.self) { try pull(server) }
    #expect(try store.list().isEmpty)
  }

  @Test("error answers are named and leave nothing", arguments: [403, 404, 500, 503])
  func status(code: Int) throws {
    let server = try LoopbackServer(["/m.gguf": .init([], conduct: .status(code))])
    #expect(throws: StoreError.httpStatus(url: server.address + "/m.gguf", status: code)) { try pull(server) }
    #expect(isEmpty())
  }

  @Test("a busy server is asked again, a bounded number of times", arguments: [429, 500, 503])
  func busy(code: Int) throws {
    let server = try LoopbackServer(["/m.gguf": .init(body, conduct: .refuses(code, times: 3))])
    #expect(try TemporaryFolder.read(try pull(server, attempts: 4).model.path) == body)
    #expect(server.requests.count == 4)
    server.setRoute("/n.gguf", .init(body, conduct: .refuses(code, times: 3)))
    #expect(throws: StoreError.httpStatus(url: server.address + "/n.gguf", status: code)) {
      try pull(server, path: "/n.gguf", attempts: 3)
    }
  }

  @Test("redirects are followed, endless ones are not")
  func redirect() throws {
    let server = try LoopbackServer([
      "/m.gguf": .init([], conduct: .redirects(to: "/real")), "/real": .init(body),
      "/loop.gguf": .init([], conduct: .redirects(to: "/loop.gguf")),
      "/local.gguf": .init([], conduct: .redirects(to: "file:///etc/passwd")),
    ])
    #expect(try TemporaryFolder.read(try pull(server).model.path) == body)
    for path in ["/loop.gguf", "/local.gguf"] {
      #expect(throws: StoreError.self) { try pull(server, path: path) }
    }
    #expect(folder.files(below: "home/downloads").isEmpty)
  }

  @Test("a length that promises too much fails, one that promises too little fails the digest")
  func wrongLength() throws {
    let server = try LoopbackServer(["/m.gguf": .init(body, conduct: .claims(length: 400_000))])
    #expect(throws: StoreError.self) { try pull(server) }
    server.setRoute("/m.gguf", .init(body, conduct: .claims(length: 1000)))
    #expect(throws: StoreError.self) { try pull(server, sha256: SHA256.hexadecimal(of: body)) }
    #expect(isEmpty())
  }

  @Test("an impossible length is refused before the disk fills")
  func hugeLength() throws {
    let server = try LoopbackServer(["/m.gguf": .init(body, conduct: .claims(length: 1 << 60))])
    let error = #expect(throws: StoreError.self) { try pull(server) }
    #expect(error?.description.contains("not enough disk space") == true)
    #expect(isEmpty())
  }

  @Test("what is no GGUF file or has another digest is removed")
  func refused() throws {
    let server = try LoopbackServer(["/m.gguf": .init(Array("<html>sign in</html>".utf8), entityTag: "\"v\"")])
    #expect(throws: StoreError.self) { try pull(server) }
    #expect(isEmpty())
    server.setRoute("/m.gguf", .init(body, entityTag: "\"v\""))
    #expect(throws: StoreError.self) { try pull(server, sha256: String(repeating: "a", count: 64)) }
    #expect(isEmpty())
  }

  @Test("an interruption leaves only the part that can be continued")
  func interrupted() throws {
    let large = storeSampleGGUF(4_000_000)
    let server = try LoopbackServer(["/m.gguf": .init(large, entityTag: "\"v\"")])
    let interruption = Interruption()
    // Every piece of progress is reported, and the first report asks for the end.
    let clock = SteppingClock()
    let progress = ProgressReporter(style: .json, write: { _ in interruption.request() }, now: { clock.next() })
    #expect(throws: Interrupted.self) { try pull(server, interruption: interruption, progress: progress) }
    let files = folder.files(below: "home").filter { !$0.hasSuffix("/") }
    #expect(files.count == 2 && files.allSatisfy { $0.contains("downloads/") })
    #expect(try TemporaryFolder.read(try pull(server).model.path) == large)
  }

  @Test("secrets in an address reach neither messages nor the manifest")
  func secrets() throws {
    #expect(ModelPull.withoutCredentials("https://me:key@host/a.gguf?token=1#x") == "https://host/a.gguf")
    let server = try LoopbackServer(["/m.gguf?token=1": .init(body)])
    #expect(try pull(server, path: "/m.gguf?token=1").model.manifest.source == server.address + "/m.gguf")
  }

  @Test(
    "the file name comes from the address's path",
    arguments: [
      ("https://h/a/b.gguf", "b.gguf"), ("https://h/b.GGUF?x=/c.gguf", "b.GGUF"), ("https://h/", nil),
      ("https://h.gguf", nil), ("https://h/.gguf", nil), ("https://h/a.bin", nil), ("https://h/a\\b.gguf", nil),
    ])
  func fileName(url: String, name: String?) { #expect(ModelPull.fileName(of: url) == name) }

  @Test("a response's head is read line by line")
  func head() {
    var head = HTTPResponseHead()
    for line in [
      "HTTP/1.1 302 Found\r\n", "ETag: \"old\"\r\n", "HTTP/2 206\r\n", "content-range: bytes 5-9/10\r\n",
      "ETag: W/\"weak\"\r\n", "Last-Modified: Mon\r\n", "Content-Length: -5\r\n", "nonsense\r\n",
    ] { head.take(line) }
    #expect(head.status == 206 && head.rangeStart == 5 && head.size == 10 && head.validator == "Mon" && !head.restarts)
  }
}

/// A clock that moves ten seconds each time it is read.
private final class SteppingClock: Sendable {
  private let time = Atomic<Int>(0)
  func next() -> Double { Double(time.add(10, ordering: .relaxed).newValue) }
}
