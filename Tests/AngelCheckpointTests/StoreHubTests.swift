import AngelCore
import AngelTesting
import Synchronization
import Testing

@testable import AngelCheckpoint

@Suite("Models of a hub", .enabled(if: HTTPSession.isAvailable, "libcurl is not installed"))
struct StoreHubTests {
  @Test("the files that are needed arrive whole, the others are never asked for")
  func whole() throws {
    let hub = try HubFixture()
    let result = try hub.pull()
    #expect(!result.wasPresent && result.model.path == hub.folder("home/models/model"))
    let manifest = result.model.manifest
    #expect(manifest.files.map(\.path) == ["config.json", "tokenizer.json", "model.safetensors"])
    #expect(manifest.source == "hf:maker/model" && manifest.license == "apache-2.0" && manifest.revision == "main")
    #expect(manifest.commit == "0123456789abcdef0123456789abcdef01234567")
    #expect(manifest.files[2].sha256 == SHA256.hexadecimal(of: HubFixture.weights))
    #expect(try hub.bytes("model.safetensors") == HubFixture.weights)
    #expect(try hub.bytes("config.json") == HubFixture.configuration)
    let asked = Set(hub.server.requests.filter { $0.host == .hub }.map(\.path))
    let files = "/maker/model/resolve/0123456789abcdef0123456789abcdef01234567/"
    #expect(
      asked == [
        "/api/models/maker/model/revision/main", files + "config.json", files + "tokenizer.json",
        files + "model.safetensors",
      ])
    #expect(hub.leftovers.allSatisfy { $0.hasPrefix("home/models/model/") } && hub.leftovers.count == 4)
    #expect(ModelManifest(json: try JSONValue(parsing: manifest.json.encoded())) == manifest)
  }

  @Test(
    "a large file is fetched in pieces that cover it once, whatever the number of connections", arguments: [1, 3, 16])
  func pieces(connections: Int) throws {
    let hub = try HubFixture()
    try hub.pull(connections: connections)
    #expect(try hub.bytes("model.safetensors") == HubFixture.weights)
    let ranges = hub.server.requests.filter { $0.host == .files }.compactMap(\.range).sorted()
    let size = HubFixture.pieceSize
    #expect(ranges == (0..<8).map { "bytes=\($0 * size)-\(($0 + 1) * size - 1)" }.sorted())
    #expect(hub.server.bytesSent(of: "model.safetensors") == HubFixture.weights.count)
  }

  @Test("a model that is there is not asked for again, and --force fetches it anew")
  func present() throws {
    let hub = try HubFixture()
    try hub.pull()
    let count = hub.server.requests.count
    #expect(try hub.pull().wasPresent)
    #expect(try hub.pull(variables: ["HF_HUB_OFFLINE": "1"]).wasPresent)
    #expect(hub.server.requests.count == count)
    #expect(try !hub.pull { $0.replaces = true }.wasPresent)
    #expect(hub.server.requests.count > count)
    #expect(throws: StoreError.alreadyStored("model")) { try hub.pull("hf:maker/model@main:safetensors") }
  }

  @Test("a revision is asked for under its name, slashes escaped, and its files by commit")
  func revision() throws {
    let hub = try HubFixture { $0.revisions = ["main", "refs%2Fpr%2F7", "v1.0"] }
    let model = try hub.pull("hf:maker/model@refs/pr/7") { $0.name = "seven" }.model
    #expect(model.manifest.revision == "refs/pr/7" && model.manifest.source == "hf:maker/model@refs/pr/7")
    #expect(hub.server.requests.contains { $0.path == "/api/models/maker/model/revision/refs%2Fpr%2F7" })
    #expect(throws: HubError.noRevision(repository: "maker/model", revision: "v2")) {
      try hub.pull("hf:maker/model@v2")
    }
    #expect(try hub.pull("hf:maker/model@0123456789abcdef0123456789abcdef01234567").wasPresent == false)
  }

  @Test("of an index's shards only those it names are fetched")
  func shards() throws {
    let index = Array(
      #"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#.utf8)
    let names = (1...2).map { "model-0000\($0)-of-00002.safetensors" }
    let hub = try HubFixture([
      HubFixture.small("config.json", HubFixture.configuration), HubFixture.small(HubSelection.indexName, index),
      HubFixture.large(names[0], HubFixture.weights), HubFixture.large(names[1], [1, 2, 3]),
      HubFixture.large("other-00001-of-00001.safetensors", [9]),
    ])
    let files = try hub.pull().model.manifest.files.map(\.path)
    #expect(files == ["config.json", HubSelection.indexName] + names)
    #expect(try hub.bytes(names[1]) == [1, 2, 3])
    hub.server.change { $0.files.removeAll { $0.path == names[1] } }
    #expect(throws: HubError.self) { try hub.pull { $0.replaces = true } }
    #expect(try hub.bytes(names[1]) == [1, 2, 3])
  }

  @Test("one GGUF file of several is chosen by its quantization, a pattern, or as usual")
  func gguf() throws {
    let paths = ["m-Q4_K_M.gguf", "m-Q8_0.gguf", "m-f16.gguf", "mmproj-f16.gguf"]
    let hub = try HubFixture(paths.map { HubFixture.gguf($0) } + [HubFixture.small("config.json", [123, 125])])
    let log = LineLog()
    #expect(try hub.pull(log: log.log).model.manifest.files.map(\.path) == ["m-Q4_K_M.gguf"])
    #expect(log.text.contains("m-Q4_K_M.gguf chosen of m-Q4_K_M.gguf, m-Q8_0.gguf, m-f16.gguf"))
    let model = try hub.pull("hf:maker/model:q8_0").model
    #expect(model.manifest.name == "m-q8_0" && model.path.hasSuffix("/m-Q8_0.gguf"))
    #expect(try TemporaryFolder.read(model.path) == HubFixture.gguf("m-Q8_0.gguf").bytes)
    #expect(try hub.pull("hf:maker/model:*F16.gguf").model.manifest.name == "m-f16")
    #expect(throws: HubError.self) { try hub.pull("hf:maker/model:Q5_K_M") }
  }

  @Test("a GGUF model in parts arrives with all of them, and its path is the first part's")
  func splitGGUF() throws {
    let paths = (1...3).map { "Q8_0/m-Q8_0-0000\($0)-of-00003.gguf" }
    let hub = try HubFixture(paths.map { HubFixture.gguf($0) } + [HubFixture.gguf("Q4_0/m-Q4_0.gguf")])
    let model = try hub.pull("hf:maker/model:Q8_0") { $0.name = "split" }.model
    #expect(model.manifest.files.map(\.path) == paths && model.path.hasSuffix("/split/" + paths[0]))
  }

  @Test("the token goes to the hub and not to the host that it redirects to")
  func token() throws {
    let hub = try HubFixture { $0.token = "hf_secret" }
    try hub.pull(variables: ["HF_TOKEN": " hf_secret\n"])
    let requests = hub.server.requests
    #expect(requests.filter { $0.host == .hub }.allSatisfy { $0.authorization == "Bearer hf_secret" })
    let elsewhere = requests.filter { $0.host == .files }
    #expect(!elsewhere.isEmpty && elsewhere.allSatisfy { $0.authorization == nil })
  }

  @Test("a redirect within the hub keeps the token, as renamed models need")
  func renamed() throws {
    let hub = try HubFixture { $0.token = "hf_secret" }
    hub.server.setTrouble { request, _ in
      request.path.hasPrefix("/api/models/old/")
        ? .redirects(to: "/api/models/maker/model/revision/main?blobs=true") : nil
    }
    // The files of the old name are not there, but its list is.
    #expect(throws: HubError.noRepository("old/name", hasToken: true)) {
      try hub.pull("hf:old/name", variables: ["HF_TOKEN": "hf_secret"])
    }
    #expect(
      hub.server.requests.filter { $0.path.hasPrefix("/api/models/maker") }.map(\.authorization) == ["Bearer hf_secret"]
    )
  }

  @Test("the token's file is found as the hub's own tools find it")
  func tokenFile() throws {
    let hub = try HubFixture { $0.token = "hf_file" }
    try hub.folder.write(Array("hf_file\n".utf8), to: "user/.cache/huggingface/token")
    try hub.folder.write(Array("other".utf8), to: "place/token")
    try hub.pull()
    let source = { (variables: [String: String]) in
      try HubSettings(Environment(["HOME": hub.folder("user")].merging(variables) { $1 })).token
    }
    #expect(try source(["HF_TOKEN": "given"]) == "given")
    #expect(try source(["HF_HOME": hub.folder("place")]) == "other")
    #expect(try source(["HF_HOME": hub.folder("place"), "HF_TOKEN_PATH": hub.folder("none")]) == nil)
    #expect(throws: HubError.invalidToken(source: "HF_TOKEN")) { try source(["HF_TOKEN": "two words"]) }
  }

  @Test("a hub whose list tells neither sizes nor digests is asked for each file's head")
  func withoutBlobs() throws {
    let hub = try HubFixture { $0.tellsBlobs = false }
    try hub.pull()
    #expect(try hub.bytes("model.safetensors") == HubFixture.weights)
    #expect(hub.server.requests.count { $0.method == "HEAD" } == 3)
    // The head of what is described by the hub is not asked for again where it lies.
    #expect(hub.server.requests.allSatisfy { $0.method != "HEAD" || $0.host == .hub })
  }

  @Test("an offline machine is told so before anything is asked")
  func offline() throws {
    let hub = try HubFixture()
    for value in ["1", "true", "YES", "on"] {
      #expect(throws: HubError.offline("hf:maker/model")) { try hub.pull(variables: ["HF_HUB_OFFLINE": value]) }
    }
    #expect(hub.server.requests.isEmpty && hub.leftovers.isEmpty)
  }

  @Test("progress counts every byte once")
  func progress() throws {
    let hub = try HubFixture()
    let lines = Mutex<[String]>([])
    let clock = Atomic<Int>(0)
    let reporter = ProgressReporter(
      style: .json, write: { line in lines.withLock { $0.append(line) } },
      now: { Double(clock.add(2, ordering: .relaxed).newValue) })
    var pull = ModelPull(
      store: hub.store, environment: Environment(["HF_ENDPOINT": hub.server.address]), interruption: Interruption(),
      progress: reporter)
    pull.pieceSize = HubFixture.pieceSize
    _ = try pull.run(.init(source: "hf:maker/model"))
    let last = try JSONValue(parsing: try #require(lines.withLock { $0.last }))
    let total = HubFixture.weights.count + HubFixture.configuration.count + 2
    #expect(last["completed"]?.integer == total && last["total"]?.integer == total)
  }

  @Test("two pulls of one model at a time do not write over each other")
  func busy() throws {
    let hub = try HubFixture()
    let reference = try HubReference("hf:maker/model")
    let environment = Environment(["HF_ENDPOINT": hub.server.address])
    let pull = ModelPull(store: hub.store, environment: environment, interruption: Interruption())
    let settings = try HubSettings(environment)
    let client = try HubClient(settings, reference, patience: Patience(), interruption: Interruption())
    let first = try HubFetch(
      pull, settings, reference, client, commit: String(repeating: "0", count: 40), connections: 1)
    let error = #expect(throws: StoreError.self) { try hub.pull() }
    #expect(error?.description.contains("another process is using") == true)
    withExtendedLifetime(first) {}
  }
}

/// Remarks as one text.
final class LineLog: Sendable {
  private let lines = Mutex<String>("")
  var text: String { lines.withLock { $0 } }
  var log: Log { Log { line in self.lines.withLock { $0 += line } } }
}
