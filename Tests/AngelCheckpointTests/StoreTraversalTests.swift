import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

/// Path traversal by a digest or a name (CVE-2024-37032 and CVE-2026-7020, both in model servers).
@Suite("Attacks on the store: paths")
struct StoreTraversalTests {
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
      let bytes = storeMutated(seed, using: &random)
      guard let json = try? JSONValue(parsing: bytes), let manifest = ModelManifest(json: json) else { continue }
      readable += 1
      #expect(manifest.files.allSatisfy { ModelManifest.staysInside($0.path) && $0.size >= 0 })
      _ = manifest.size
    }
    #expect(readable > 0)
  }
}
