import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

/// The first bytes of a GGUF file and some more, enough for the store.
func storeSampleGGUF(_ count: Int = 1000) -> [UInt8] {
  Array("GGUF".utf8) + (4..<max(4, count)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
}

@Suite("The model store")
struct StoreTests {
  let folder: TemporaryFolder
  let store: ModelStore

  init() throws {
    folder = try TemporaryFolder()
    store = ModelStore(root: folder("home"))
  }

  private func pull(_ source: String, _ change: (inout ModelPull.Request) -> Void = { _ in }) throws -> ModelPull.Result
  {
    var request = ModelPull.Request(source: source)
    change(&request)
    return try ModelPull(store: store, environment: Environment([:]), interruption: Interruption()).run(request)
  }

  @Test("the root follows ANGEL_HOME, XDG_DATA_HOME and HOME, in this order")
  func root() throws {
    #expect(try ModelStore(environment: Environment(["ANGEL_HOME": "/a", "HOME": "/h"])).root == "/a")
    #expect(try ModelStore(environment: Environment(["XDG_DATA_HOME": "/x", "HOME": "/h"])).root == "/x/angel")
    #expect(
      try ModelStore(environment: Environment(["XDG_DATA_HOME": "x", "HOME": "/h"])).root == "/h/.local/share/angel")
  }

  @Test("a pulled file is listed, resolved and removed")
  func file() throws {
    let source = try folder.write(storeSampleGGUF(), to: "My Model.Q4.gguf")
    let result = try pull(source)
    #expect(result.model.manifest.name == "my-model.q4")
    #expect(!result.wasPresent)
    #expect(try pull(source).wasPresent)
    #expect(try store.list().map(\.manifest.name) == ["my-model.q4"])
    let resolved = try store.resolve("my-model.q4")
    #expect(resolved.path == folder("home/models/my-model.q4/My Model.Q4.gguf"))
    #expect(try TemporaryFolder.read(resolved.path) == storeSampleGGUF())
    #expect(resolved.manifest?.files.first?.sha256 == SHA256.hexadecimal(of: storeSampleGGUF()))
    #expect(try store.remove("my-model.q4") > 1000)
    #expect(folder.files(below: "home") == ["home/incoming/", "home/models/"])
  }

  @Test("a manifest survives writing and reading")
  func manifest() throws {
    let model = try pull(try folder.write(storeSampleGGUF(), to: "m.gguf")) { $0.name = "m" }.model
    #expect(ModelManifest(json: try JSONValue(parsing: model.manifest.json.encoded())) == model.manifest)
    #expect(model.manifest.pulled.count == 20)
  }

  @Test("a folder keeps weights, settings and notes and leaves other formats behind")
  func modelFolder() throws {
    for name in [
      "model.safetensors", "config.json", "tokenizer.json", "pytorch_model.bin", ".git/x.json", "1_P/config.json",
    ] {
      try folder.write([1, 2, 3], to: "Source/" + name)
    }
    let model = try pull(folder("Source")).model
    #expect(
      model.manifest.files.map(\.path) == ["1_P/config.json", "config.json", "model.safetensors", "tokenizer.json"])
    #expect(model.path == folder("home/models/source"))
  }

  @Test("a link keeps the file where it is")
  func link() throws {
    let source = try folder.write(storeSampleGGUF(), to: "m.gguf")
    #expect(try pull(source) { $0.links = true }.model.manifest.size == 1000)
    try store.remove("m")
    #expect(try TemporaryFolder.read(source).count == 1000)
  }

  @Test("a name that is taken by another model is refused, and replaced on demand")
  func taken() throws {
    _ = try pull(try folder.write(storeSampleGGUF(), to: "a/m.gguf"))
    let other = try folder.write(storeSampleGGUF(50), to: "b/m.gguf")
    #expect(throws: StoreError.alreadyStored("m")) { try pull(other) }
    #expect(try pull(other) { $0.replaces = true }.model.manifest.size == 50)
    #expect(folder.files(below: "home/incoming").isEmpty)
  }

  @Test("what is no model is refused and leaves nothing")
  func notAModel() throws {
    let sources = [
      try folder.write(Array("<html>".utf8), to: "x.gguf"), try folder.write([1], to: "x.txt"),
      try folder.write([], to: "empty/readme.md").replacingSuffix("/readme.md", ""), folder("none"),
      "ftp://x/y.gguf", "smollm", "https://host/", "file://relative.gguf",
    ]
    for source in sources { #expect(throws: StoreError.self) { try pull(source) } }
    #expect(folder.files(below: "home").isEmpty)
  }

  @Test("a file address is a path with escapes")
  func fileAddress() throws {
    let source = try folder.write(storeSampleGGUF(), to: "a b.gguf")
    let address = "file://" + String(source.map { $0 == " " ? "_" : $0 }).replacingSuffix("a_b.gguf", "a%20b.gguf")
    #expect(try pull(address).model.manifest.name == "a-b")
  }

  @Test("a wrong digest is refused, the right one accepted in any case")
  func digest() throws {
    let source = try folder.write(storeSampleGGUF(), to: "m.gguf")
    let right = SHA256.hexadecimal(of: storeSampleGGUF())
    #expect(throws: StoreError.self) { try pull(source) { $0.sha256 = String(repeating: "0", count: 64) } }
    #expect(try pull(source) { $0.sha256 = right.uppercased() }.model.manifest.files[0].sha256 == right)
  }

  @Test("the digest is SHA-256")
  func knownDigest() {
    #expect(
      SHA256.hexadecimal(of: "abc".utf8) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test("an unknown model names the nearest known ones and what to do")
  func unknown() throws {
    let pulled = try pull(try folder.write(storeSampleGGUF(), to: "falcon.gguf"))
    #expect(pulled.model.manifest.name == "falcon")
    #expect(throws: StoreError.unknownModel("falcn", suggestion: "; did you mean 'falcon'?")) {
      try store.resolve("falcn")
    }
    #expect(throws: StoreError.unknownModel("smollm2", suggestion: ": get it with angel pull smollm2")) {
      try store.resolve("smollm2")
    }
    for name in ["", "..", "../models/falcon", "nothing/like/it", ".", "/"]
    where name != "." && name != "/" && name != ".." {
      #expect(throws: StoreError.self) { try store.resolve(name) }
    }
    #expect(throws: StoreError.self) { try store.remove("..") }
  }

  @Test("a model whose files changed is reported as damaged")
  func damaged() throws {
    let model = try pull(try folder.write(storeSampleGGUF(), to: "m.gguf")).model
    try folder.write([1], to: "home/models/m/m.gguf")
    #expect(throws: StoreError.damaged(model: "m", reason: "'m.gguf' has 1 bytes, not 1000")) { try store.resolve("m") }
    try folder.write(Array("{}".utf8), to: "home/models/m/manifest.json")
    #expect(throws: StoreError.damaged(model: "m", reason: "its manifest cannot be read")) { try store.stored("m") }
    #expect(try store.list().isEmpty)
    #expect(model.manifest.size == 1000)
  }

  @Test("an interrupted copy leaves nothing")
  func interrupted() throws {
    let source = try folder.write(storeSampleGGUF(), to: "m.gguf")
    let interruption = Interruption()
    interruption.request()
    let pull = ModelPull(store: store, environment: Environment([:]), interruption: interruption)
    #expect(throws: Interrupted.self) { try pull.run(.init(source: source)) }
    #expect(folder.files(below: "home") == ["home/incoming/"])
  }

  @Test("names of models are plain", arguments: ["a", "smollm2", "A-b_c.9", "../x", "", ".x", "-x", "a/b", "é", "a b"])
  func names(name: String) { #expect(ModelStore.isValid(name: name) == ["a", "smollm2", "A-b_c.9"].contains(name)) }
}

extension String {
  fileprivate func replacingSuffix(_ suffix: String, _ other: String) -> String {
    hasSuffix(suffix) ? dropLast(suffix.count) + other : self
  }
}
