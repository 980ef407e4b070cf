import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

/// Ways in which model stores have been attacked, each with the class of published failures it stands for.
@Suite("Attacks on the store")
struct StoreHardeningTests {
  // MARK: Path traversal by a digest or a name (CVE-2024-37032 and its successors in model servers)

  @Test("a digest that is a path is no digest, and parts are never named by what a server says")
  func digestTraversal() throws {
    for text in [
      "../../../etc/passwd", "", "sha256:" + String(repeating: "a", count: 64), String(repeating: "A", count: 64),
      String(repeating: "a", count: 63) + "/", String(repeating: "a", count: 39) + "\0",
    ] {
      #expect(ContentDigest(tag: text) == nil)
      let json: JSONValue = ["lfs": ["sha256": .string(text), "size": 1], "blobId": "x"]
      #expect(HubFile(path: "m.gguf", json: json).digest == nil)
    }
    let commit = JSONValue.object(JSONObject([("sha", "../../x"), ("siblings", [])]))
    #expect(throws: HubError.self) { try HubModel(json: commit, repository: "a/b") }
  }

  @Test(
    "a file's name on a hub cannot leave the model's folder",
    arguments: [
      "../m.gguf", "a/../../m.gguf", "/etc/m.gguf", "./m.gguf", "a//m.gguf", "..\\m.gguf", "C:\\m.gguf", "c:m.gguf",
      "a\0/m.gguf", "a\n/m.gguf", "\u{1B}[2J.gguf", "manifest.json/m.gguf/",
      String(repeating: "x", count: 300) + ".gguf",
      (0..<9).map { _ in "d/" }.joined() + "m.gguf",
    ])
  func nameTraversal(name: String) throws {
    #expect(HubFile(path: name, size: 1, digest: nil).objection != nil)
    guard HTTPSession.isAvailable, name.hasSuffix(".gguf") else { return }
    let hub = try HubFixture([HubFixture.gguf(name)])
    #expect(throws: HubError.self) { try hub.pull() }
    #expect(hub.leftovers.isEmpty && hub.server.requests.count == 1)
  }

  @Test("an index's shard names cannot leave the model's folder", .enabled(if: HTTPSession.isAvailable))
  func shardTraversal() throws {
    for name in ["../x.safetensors", "/x.safetensors", "a/x.safetensors", "x.bin", "missing.safetensors"] {
      let index = Array("{\"weight_map\":{\"a\":\"\(name)\"}}".utf8)
      let hub = try HubFixture([
        HubFixture.small("config.json", HubFixture.configuration), HubFixture.small(HubSelection.indexName, index),
        HubFixture.large("m-00001-of-00002.safetensors", [1]), HubFixture.large("m-00002-of-00002.safetensors", [1]),
        HubFixture.large("x.bin", [1]),
      ])
      #expect(throws: (any Error).self) { try hub.pull() }
      #expect(try hub.store.list().isEmpty)
    }
  }

  @Test("a part that is a symbolic link is not written through", .enabled(if: HTTPSession.isAvailable))
  func linkedPart() throws {
    let folder = try TemporaryFolder()
    let victim = try folder.write([7], to: "victim")
    try folder.link(victim, as: "x.part")
    #expect(throws: StoreError.self) { try PartFile(folder("x.part"), identity: "a", size: 4, pieceSize: 2) }
    #expect(try TemporaryFolder.read(victim) == [7])
  }

  // MARK: Manifests of the store

  @Test(
    "a manifest's paths cannot leave the model's folder",
    arguments: ["../x", "/etc/passwd", "a/../../x", "", ".", "a/./b", "a//b", "a/", "manifest.json", "a\0b"])
  func manifestTraversal(path: String) {
    let entry: JSONValue = ["path": .string(path), "size": 1, "sha256": ""]
    #expect(ModelManifest(json: ["name": "m", "source": "s", "files": [entry]]) == nil)
  }

  @Test("a manifest that names another model is damaged: what is listed is what is removed")
  func manifestName() throws {
    let folder = try TemporaryFolder()
    let store = ModelStore(root: folder("home"))
    try folder.write(Array(#"{"name":"other","source":"s","files":[]}"#.utf8), to: "home/models/m/manifest.json")
    #expect(throws: StoreError.damaged(model: "m", reason: "its manifest names another model")) {
      try store.stored("m")
    }
    #expect(try store.list().isEmpty)
  }

  @Test("mutated manifests are read or refused, never a trap, and never lead outside")
  func manifestMutations() throws {
    let seed = Array(
      (#"{"name":"m","source":"hf:a/b","license":"mit","revision":"main","commit":"c","pulled":"2026","files":[{"path":"#
        + #""a/b.gguf","size":1000,"sha256":"00"},{"path":"c.json","size":3,"sha256":"11"}]}"#).utf8)
    var random = SplitMix(state: 7)
    var readable = 0
    for _ in 0..<(Environment.current().runsAllTests ? 20_000 : 2_000) {
      let bytes = mutated(seed, using: &random)
      guard let json = try? JSONValue(parsing: bytes), let manifest = ModelManifest(json: json) else { continue }
      readable += 1
      #expect(manifest.files.allSatisfy { ModelManifest.staysInside($0.path) && $0.size >= 0 })
      _ = manifest.size
    }
    #expect(readable > 0)
  }

  // MARK: Zip slip and decompression bombs (CVE-2018-1002200's class; the overlapping kind of 2019)

  /// 200,000 zeros as raw deflate data, 211 bytes; written by another implementation.
  private var bomb: [UInt8] {
    [0xED, 0xC1, 0x31, 0x01, 0, 0, 0, 0xC2, 0xA0, 0xF5, 0x4F, 0x6D, 0x06, 0x7F, 0xA0]
      + [UInt8](repeating: 0, count: 193)
      + [0x80, 0xD7, 0x00]
  }

  @Test("a member that unpacks to more than it claims is stopped before its bytes are handed on")
  func bombByLying() throws {
    var builder = StoreZipBuilder()
    builder.add("bomb", bomb, method: 8)
    let archive = try ZipArchive(.init(bytes: builder.finished()))
    var count = 0
    #expect(throws: StoreError.self) {
      try archive.extract(try #require(archive["bomb"]), interruption: Interruption()) { count += $0.count }
    }
    #expect(count <= bomb.count)
  }

  @Test("a member that claims more than deflate can do is refused unread")
  func bombByClaim() {
    var bytes = StoreZipBuilder.archive([("bomb", [1, 2, 3, 4])])
    let directory = bytes.count - 22 - 46 - 4
    for (index, byte) in [0xFF, 0xFF, 0xFF, 0x7F].enumerated() { bytes[directory + 24 + index] = UInt8(byte) }
    #expect(throws: StoreError.self) { try ZipArchive(.init(bytes: bytes)) }
  }

  @Test("members that share their bytes are refused")
  func bombByOverlap() throws {
    var builder = StoreZipBuilder()
    builder.add("a", [UInt8](repeating: 1, count: 2000))
    builder.add("b", [1])
    var bytes = builder.finished()
    _ = try ZipArchive(.init(bytes: bytes))
    // The second entry gets the first one's place, sizes and checksum.
    let second = bytes.count - 22 - 47
    let first = second - 47
    for offset in Array(16..<28) + Array(42..<46) { bytes[second + offset] = bytes[first + offset] }
    #expect(throws: StoreError.self) { try ZipArchive(.init(bytes: bytes)) }
  }

  // MARK: Requests that a server steers elsewhere (SSRF, CVE-2024-24768's class; leaked credentials)

  @Test(
    "redirects to other schemes, or from https to http, are refused",
    arguments: [
      ("https://h/x", "file:///etc/passwd"), ("http://h/x", "file:///etc/passwd"), ("http://h/x", "ftp://h/x"),
      ("http://h/x", "gopher://h/"), ("http://h/x", "dict://h/"), ("http://h/x", "unix:///x"),
      ("https://h/x", "http://h/x"),
      ("http://h/x", "//h/x"), ("http://h/x", ""),
    ])
  func schemes(source: String, target: String) {
    #expect(throws: StoreError.self) { try HTTPSession.check(redirect: target, from: source) }
  }

  @Test("redirects to http and https are followed", arguments: ["https://a/", "HTTPS://a/"])
  func goodSchemes(target: String) throws {
    try HTTPSession.check(redirect: target, from: "http://h/x")
    try HTTPSession.check(redirect: target, from: "https://h/x")
  }

  @Test(
    "addresses that are not for the public",
    arguments: [
      "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
      "100.64.0.1",
      "0.0.0.0", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
      "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "fec0::1", "localhost", "",
    ])
  func privateAddresses(address: String) { #expect(HTTPSession.isPrivate(address: address)) }

  @Test(
    "addresses that are",
    arguments: [
      "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
    ])
  func publicAddresses(address: String) { #expect(!HTTPSession.isPrivate(address: address)) }

  @Test(
    "where only public addresses may be connected to, this machine's own is not", .enabled(if: HTTPSession.isAvailable))
  func publicOnly() throws {
    let server = try LoopbackServer(["/": .init([1])])
    let session = try HTTPSession(interruption: Interruption(), patience: Patience())
    let run = { (publicOnly: Bool) in
      HTTPExchange(
        .init(begin: { _ in }, take: { _ in }), .init(), isAtOrigin: true, interruption: Interruption()
      ).run(HTTPRequest(url: server.address + "/"), on: session.handle, Patience(), publicOnly: publicOnly)
    }
    #expect(run(true).message.isEmpty == false && server.requests.isEmpty)
    let answer = run(false)
    #expect(answer.isPrivate && server.requests.count == 1)
  }

  @Test(
    "host and port decide where the token goes",
    arguments: [
      ("https://Hub.co/a", "https://hub.co:443/b", true), ("http://h/", "http://h:80", true),
      ("http://u:p@h/", "http://h/x?y", true),
      ("https://hub.co/", "https://hub.co.evil/", false), ("https://hub.co/", "https://hub.co:444/", false),
      ("https://hub.co/", "http://hub.co/", false), ("https://hub.co/", "https://hub.co@evil/", false),
      ("https://hub.co/", "https://evil/?https://hub.co/", false), ("https://hub.co/", "https://evil#hub.co", false),
    ])
  func origins(one: String, other: String, isSame: Bool) {
    #expect((HTTPSession.origin(of: one) == HTTPSession.origin(of: other)) == isSame)
  }

  @Test(
    "a token that went to another host's redirect does not come back with it", .enabled(if: HTTPSession.isAvailable))
  func roundTrip() throws {
    let hub = try HubFixture { $0.token = "hf_secret" }
    let address = hub.server.address
    hub.server.setTrouble { request, _ in
      request.host == .files ? .redirects(to: address + "/stolen") : nil
    }
    #expect(throws: (any Error).self) { try hub.pull(variables: ["HF_TOKEN": "hf_secret"]) }
    let stolen = hub.server.requests.filter { $0.path == "/stolen" }
    #expect(!stolen.isEmpty && stolen.allSatisfy { $0.authorization == nil })
  }

  // MARK: Heads and documents of servers

  @Test("lying numbers in a head are not believed")
  func headNumbers() {
    for value in ["-1", "+5", " ", "5x", "0x10", "99999999999999999999", "1e3", "٣"] {
      var head = HTTPResponseHead()
      for line in ["HTTP/1.1 200 OK", "Content-Length: \(value)", "X-Linked-Size: \(value)", "Retry-After: \(value)"] {
        head.take(line)
      }
      #expect(head.size == nil && head.hub.linkedSize == nil && head.wait(now: 0) == nil, "\(value)")
    }
    for line in ["HTTP/1.1", "HTTP/1.1 -200", "HTTP/1.1 99999", "HTTP/1.1 20", "HTTP/"] {
      var head = HTTPResponseHead()
      head.take(line)
      #expect(head.status == 0)
    }
    for range in [
      "bytes -5-9/10", "bytes */10", "bytes 5", "items 1-2/3", "bytes 5-9", "bytes 99999999999999999999-9/10",
    ] {
      var head = HTTPResponseHead()
      for line in ["HTTP/1.1 206 Partial", "Content-Range: \(range)"] { head.take(line) }
      #expect(head.rangeStart == nil, "\(range)")
    }
  }

  @Test(
    "the wait that a server asks for",
    arguments: [
      ("Retry-After: 120", 120), ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 37),
      ("retry-after: Sun, 06 Nov 1994 08:48:00 GMT", 0),
      ("RateLimit: \"api\";r=0;t=55", 55), ("RateLimit: \"api\"; r=0; t=7", 7), ("RateLimit: \"api\";r=3;t=55", nil),
      ("Retry-After: Sunday", nil), ("Retry-After: Sun, 06 Foo 1994 08:49:37 GMT", nil), ("RateLimit: r=0", nil),
      ("Retry-After: Sun, 99 Nov 99999999999 08:49:37 GMT", nil),
    ])
  func wait(line: String, seconds: Int?) {
    var head = HTTPResponseHead()
    for line in ["HTTP/1.1 429 Busy", line] { head.take(line) }
    #expect(head.wait(now: 784_111_740) == seconds)
  }

  @Test("mutated heads are read without a trap")
  func headMutations() {
    let seed = [
      "HTTP/1.1 206 Partial Content", "Content-Range: bytes 5-9/10", "Content-Length: 5", "ETag: W/\"x\"",
      "Retry-After: 5",
      "RateLimit: \"a\";r=0;t=5", "X-Linked-Size: 7", "X-Linked-Etag: \"y\"",
    ].map { Array($0.utf8) }
    var random = SplitMix(state: 11)
    for _ in 0..<(Environment.current().runsAllTests ? 20_000 : 2_000) {
      var head = HTTPResponseHead()
      for line in seed { head.take(String(decoding: mutated(line, using: &random), as: UTF8.self)) }
      #expect((head.size ?? 0) >= 0 && (head.rangeStart ?? 0) >= 0 && (head.wait(now: 0) ?? 0) >= 0)
      _ = (head.validator, head.contentTag)
    }
  }

  @Test("mutated lists of a hub give a model or an error, and no file that may not be written")
  func listMutations() throws {
    let seed = Array(
      (#"{"sha":"0123456789abcdef0123456789abcdef01234567","cardData":{"license":"mit"},"siblings":[{"rfilename":"config.json","#
        + #""size":2,"blobId":"ce013625030ba8dba906f756967f9e9ca394464a"},{"rfilename":"m.safetensors","size":9,"lfs":{"sha256":"#
        + #""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":9}}]}"#).utf8)
    let reference = try HubReference("hf:a/b")
    var random = SplitMix(state: 13)
    var readable = 0
    for _ in 0..<(Environment.current().runsAllTests ? 20_000 : 2_000) {
      guard let json = try? JSONValue(parsing: mutated(seed, using: &random)),
        let model = try? HubModel(json: json, repository: "a/b")
      else { continue }
      readable += 1
      #expect(HubModel.isHexadecimal(model.commit, count: 40))
      _ = try? HubSelection(model.files, for: reference)
    }
    #expect(readable > 0)
  }

  @Test("deeply nested, endless and duplicate JSON costs an error, not the stack")
  func nestedJSON() {
    for text in [
      String(repeating: "[", count: 1_000_000), String(repeating: "{\"a\":", count: 1_000_000), "[1e99999999999]",
      "\"\\ud800\"",
      "{\"siblings\":[" + String(repeating: "{},", count: 1000),
    ] {
      #expect(throws: (any Error).self) {
        let json = try JSONValue(parsing: text)
        _ = try HubModel(json: json, repository: "a/b")
      }
    }
  }

  private func mutated(_ seed: [UInt8], using random: inout SplitMix) -> [UInt8] {
    var bytes = seed
    for _ in 0...Int.random(in: 0..<3, using: &random) {
      let place = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes[place] = Array("/.\"-0{}[]:".utf8).randomElement(using: &random) ?? 0
      case 2: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 3: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...8, using: &random)))
      default: bytes.insert(contentsOf: Array("../".utf8), at: place)
      }
      if bytes.isEmpty { bytes = [0] }
    }
    return bytes
  }
}
