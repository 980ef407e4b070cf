import AngelCore
import AngelTesting
import Synchronization
import Testing

@testable import AngelCheckpoint

@Suite("A hub in trouble", .enabled(if: HTTPSession.isAvailable, "libcurl is not installed"))
struct StoreHubTroubleTests {
  private let hub: HubFixture
  private let size = HubFixture.weights.count

  init() throws { hub = try HubFixture() }

  private var isStored: Bool {
    get throws { try hub.bytes("model.safetensors") == HubFixture.weights && hub.bytes("config.json").count > 2 }
  }

  /// The body of an answer from the host of large files, in the model's own order.
  private func onFiles(_ trouble: @escaping @Sendable (Int) -> HubServer.Trouble?) {
    hub.server.setTrouble { request, count in request.host == .files ? trouble(count) : nil }
  }

  @Test("connections that are cut are taken up where they stopped, and no byte is fetched twice")
  func cuts() throws {
    onFiles { $0 <= 10 ? .cuts(after: 7001) : nil }
    try hub.pull()
    #expect(try isStored)
    #expect(hub.server.bytesSent(of: "model.safetensors") == size)
  }

  @Test("a connection that falls silent is cut and taken up where it stopped")
  func silent() throws {
    onFiles { $0 == 2 ? .stalls(after: 4321) : nil }
    try hub.pull(connections: 1, stallSeconds: 1)
    #expect(try isStored)
    #expect(
      hub.server.requests.contains {
        $0.range == "bytes=\(HubFixture.pieceSize + 4321)-\(2 * HubFixture.pieceSize - 1)"
      })
  }

  @Test("a connection that brings nothing is tried a bounded number of times, with longer pauses")
  func hopeless() throws {
    onFiles { _ in .cuts(after: 0) }
    #expect(throws: StoreError.self) { try hub.pull(connections: 1) }
    #expect(hub.server.requests.count { $0.host == .files } == 5)
    let pauses = hub.waits.seconds
    #expect(pauses.count == 4)
    for (index, pause) in pauses.enumerated() {
      let full = Double(1 << index)
      #expect(pause >= full / 2 && pause <= full)
    }
    #expect(try hub.store.list().isEmpty)
  }

  @Test("429 and 503 are waited for as the server asks", arguments: [429, 503])
  func busyServer(status: Int) throws {
    onFiles {
      $0 == 1 ? .status(status, ["Retry-After: 7"]) : $0 == 2 ? .status(status, ["RateLimit: \"api\";r=0;t=55"]) : nil
    }
    try hub.pull(connections: 1)
    #expect(try isStored)
    let waits = hub.waits.seconds
    #expect(waits.count == 2 && (7...8).contains(waits[0]) && (56...57).contains(waits[1]))
  }

  @Test("a wait that is too long is an error that names the status")
  func tooLong() throws {
    hub.server.setTrouble { _, _ in .status(429, ["Retry-After: 86400"]) }
    let error = #expect(throws: StoreError.self) { try hub.pull() }
    #expect(error?.description.contains("429 (too many requests: try again later)") == true)
    #expect(hub.waits.seconds.isEmpty && hub.leftovers.isEmpty)
  }

  @Test("a server that fails every time is given up", arguments: [500, 502, 504])
  func failing(status: Int) throws {
    hub.server.setTrouble { request, _ in request.path.hasSuffix("/config.json") ? .status(status) : nil }
    let error = #expect(throws: StoreError.self) { try hub.pull(connections: 1) }
    #expect(error?.description.contains("'\(hub.server.address)/maker/model/resolve/") == true)
    #expect(hub.server.requests.count { $0.path.hasSuffix("/config.json") } == 5)
  }

  @Test("a server that sends the whole file for a range is believed, once")
  func ignoredRange() throws {
    onFiles { _ in .ignoresRange }
    try hub.pull()
    #expect(try isStored)
  }

  @Test("one that does so and cuts every connection is given up")
  func ignoredRangeAndCut() throws {
    let server = hub.server
    server.setTrouble { request, count in
      guard request.host == .files else { return nil }
      return request.range == nil ? .cuts(after: 100) : .ignoresRange
    }
    #expect(throws: StoreError.self) { try hub.pull(connections: 2) }
    #expect(server.requests.count { $0.host == .files } < 40)
  }

  @Test("another range than the one asked for is not believed")
  func shifted() throws {
    onFiles { $0 == 3 ? .shiftsRange : nil }
    try hub.pull()
    #expect(try isStored)
    onFiles { _ in .shiftsRange }
    hub.server.change { $0.files[3] = HubFixture.large("model.safetensors", HubFixture.weights.reversed()) }
    #expect(throws: StoreError.self) { try hub.pull { $0.replaces = true } }
    #expect(try isStored)
  }

  @Test("a wrong digest is named and the file fetched anew, once")
  func wrongDigest() throws {
    onFiles { $0 == 1 ? .corrupts : nil }
    let log = LineLog()
    try hub.pull(connections: 1, log: log.log)
    #expect(try isStored)
    #expect(log.text.contains("warning: 'model.safetensors' has SHA-256 ") && log.text.contains("it is fetched anew"))
    #expect(hub.server.bytesSent(of: "model.safetensors") == 2 * size)
  }

  @Test(
    "a digest that is wrong twice is an error that leaves nothing", arguments: ["model.safetensors", "config.json"])
  func wrongTwice(name: String) throws {
    let bytes = name == "config.json" ? HubFixture.configuration : HubFixture.weights
    let digest = name == "config.json" ? HubFixture.small(name, bytes).digest : HubFixture.large(name, bytes).digest
    hub.server.change { model in
      model.files = model.files.map { file in
        file.path == name ? HubServer.File(name, bytes.map { $0 ^ 1 }, digest: digest) : file
      }
    }
    let error = #expect(throws: StoreError.self) { try hub.pull() }
    #expect(error?.description.contains("'\(name)' has ") == true && error?.description.contains(digest) == true)
    #expect(try hub.store.list().isEmpty)
  }

  @Test("a length that is not the announced one is named and the file fetched anew, once")
  func wrongLength() throws {
    let log = LineLog()
    hub.server.setTrouble { request, count in
      request.path.hasSuffix("/config.json") && count == 1 ? .claims(length: 5) : nil
    }
    try hub.pull(log: log.log)
    #expect(log.text.contains("'config.json' has 5 bytes, not \(HubFixture.configuration.count); it is fetched anew"))
    hub.server.setTrouble { request, _ in request.path.hasSuffix("/config.json") ? .claims(length: 500) : nil }
    #expect(
      throws: StoreError.sizeMismatch(file: "config.json", expected: HubFixture.configuration.count, actual: 500)
    ) { try hub.pull { $0.replaces = true } }
  }

  @Test("a piece that ends early although its head promised all of it is continued")
  func shortPiece() throws {
    onFiles { $0 == 1 ? .claims(length: 1000) : nil }
    try hub.pull(connections: 1)
    #expect(try isStored)
  }

  @Test("a file whose tag changes while it is fetched starts anew, and the second time is an error")
  func changingTag() throws {
    let other = String(repeating: "a", count: 64)
    hub.server.setTrouble { request, count in
      request.path.hasSuffix("/model.safetensors") && count == 4 ? .retags(other) : nil
    }
    try hub.pull(connections: 1)
    #expect(try isStored)
    hub.server.setTrouble { request, _ in request.path.hasSuffix("/model.safetensors") ? .retags(other) : nil }
    #expect(throws: HubError.changing(path: "model.safetensors")) { try hub.pull { $0.replaces = true } }
  }

  @Test("redirects that never end, or lead to files or other services, are refused")
  func redirects() throws {
    let api = "/api/models/maker/model/revision/main"
    let addresses = [api, hub.server.address + api, "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"]
    for address in addresses {
      hub.server.setTrouble { _, _ in .redirects(to: address) }
      let error = #expect(throws: StoreError.self) { try hub.pull() }
      #expect(error?.description.contains("redirects") == true, "\(address)")
    }
    #expect(hub.leftovers.isEmpty)
  }

  @Test("a link that has run out is asked for again")
  func expiredLink() throws {
    onFiles { $0 == 2 ? .status(403) : nil }
    try hub.pull()
    #expect(try isStored)
  }

  @Test("a head that does not end is refused")
  func endlessHead() throws {
    hub.server.setTrouble { _, _ in .endlessHead }
    #expect(throws: StoreError.self) { try hub.pull(attempts: 1) }
  }

  @Test("an impossible size is refused before anything is written")
  func space() throws {
    hub.server.change { $0.tellsBlobs = false }
    hub.server.setTrouble { request, _ in
      request.method == "HEAD" && request.path.hasSuffix("config.json") ? .claims(length: 1 << 60) : nil
    }
    let error = #expect(throws: HubError.self) { try hub.pull() }
    #expect(error?.description.contains("are more than such a file has") == true)
    #expect(hub.leftovers.isEmpty)
  }

  @Test("a model that is larger than the disk is refused before anything is written", arguments: [true, false])
  func largerThanDisk(tellsBlobs: Bool) throws {
    hub.server.change { model in
      model.tellsBlobs = tellsBlobs
      model.files[3].announcedSize = 1 << 49
    }
    let error = #expect(throws: StoreError.self) { try hub.pull() }
    #expect(error?.description.hasPrefix("not enough disk space at '\(hub.folder("home"))': ") == true)
    #expect(hub.leftovers.isEmpty)
    hub.server.change { model in
      model.files = (1...9).map { HubFixture.gguf("m-0000\($0)-of-00009.gguf") }
      for index in model.files.indices { model.files[index].announcedSize = Int.max / 5 }
    }
    #expect(throws: HubError.self) { try hub.pull() }
    #expect(hub.leftovers.isEmpty)
  }

  @Test("an interrupted pull keeps what has arrived, and the next one fetches only the rest")
  func interrupted() throws {
    let interruption = Interruption()
    let server = hub.server
    onFiles { count in
      guard count == 4 else { return nil }
      interruption.request()
      return .stalls(after: 123)
    }
    #expect(throws: Interrupted.self) { try hub.pull(connections: 1, interruption: interruption) }
    #expect(try hub.store.list().isEmpty)
    #expect(!hub.leftovers.isEmpty && hub.leftovers.allSatisfy { $0.contains("/downloads/hub-") })
    #expect(try hub.store.unfinishedDownloads().map(\.source) == ["hf:maker/model"])
    let before = server.bytesSent(of: "model.safetensors")
    #expect(before > 100_000)
    hub.server.setTrouble { _, _ in nil }
    try hub.pull(connections: 1)
    #expect(try isStored)
    // What was sent but not read when the pull was stopped may be sent again.
    #expect(server.bytesSent(of: "model.safetensors") <= size + 50_000)
    #expect(server.requests.count { $0.path.hasSuffix("/config.json") } == 1)
  }

  @Test("files that did not change are kept when the branch has moved on")
  func moved() throws {
    onFiles { $0 > 4 ? .status(404) : nil }
    #expect(throws: HubError.self) { try hub.pull(connections: 1) }
    let before = hub.server.bytesSent(of: "model.safetensors")
    hub.server.setTrouble { _, _ in nil }
    hub.server.change { model in
      model.commit = String(repeating: "9", count: 40)
      model.files[0] = HubFixture.small("config.json", Array("{\"model_type\":\"qwen3\"}".utf8))
    }
    let manifest = try hub.pull().model.manifest
    #expect(manifest.commit == String(repeating: "9", count: 40))
    #expect(try hub.bytes("config.json") == Array("{\"model_type\":\"qwen3\"}".utf8))
    #expect(before == 200_000 && hub.server.bytesSent(of: "model.safetensors") == size)
  }
}
