import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

@Suite("What a hub answers", .enabled(if: HTTPSession.isAvailable, "libcurl is not installed"))
struct StoreHubAnswerTests {
  @Test("a gated model says where to ask for access, with and without a token")
  func gated() throws {
    let hub = try HubFixture {
      $0.isGated = true
      $0.token = "hf_allowed"
    }
    let page = hub.server.address + "/maker/model"
    let message = "Access to model maker/model is restricted."
    #expect(throws: HubError.gated(repository: "maker/model", page: page, hasToken: false, message: message)) {
      try hub.pull()
    }
    let error = #expect(throws: HubError.self) { try hub.pull(variables: ["HF_TOKEN": "hf_other"]) }
    #expect(error == .gated(repository: "maker/model", page: page, hasToken: true, message: message))
    #expect(error?.description.contains("ask for access at \(page) with the account") == true)
    #expect(try hub.pull(variables: ["HF_TOKEN": "hf_allowed"]).model.manifest.files.count == 3)
  }

  @Test("a missing or private repository, revision and file are told apart")
  func missing() throws {
    let hub = try HubFixture()
    #expect(throws: HubError.noRepository("maker/none", hasToken: false)) { try hub.pull("hf:maker/none") }
    let error = #expect(throws: HubError.self) { try hub.pull("hf:maker/none", variables: ["HF_TOKEN": "t"]) }
    #expect(error?.description.hasSuffix("check the name, and that the token may read it") == true)
    #expect(throws: HubError.noRevision(repository: "maker/model", revision: "v9")) {
      try hub.pull("hf:maker/model@v9")
    }
    hub.server.setTrouble { request, _ in
      request.path.hasSuffix("/config.json") ? .status(404, ["X-Error-Code: EntryNotFound"]) : nil
    }
    #expect(throws: HubError.noFile(repository: "maker/model", path: "config.json")) { try hub.pull() }
    #expect(try hub.store.list().isEmpty)
  }

  @Test("a token that is not accepted names where it came from, never the token")
  func refusedToken() throws {
    let hub = try HubFixture()
    hub.server.setTrouble { _, _ in .status(401, ["X-Error-Message: Invalid credentials in Authorization header"]) }
    let error = #expect(throws: HubError.self) { try hub.pull(variables: ["HF_TOKEN": "hf_secret"]) }
    #expect(error == .tokenRefused(repository: "maker/model", source: "HF_TOKEN"))
    #expect(error?.description.contains("hf_secret") == false)
    hub.server.setTrouble { _, _ in .status(403, ["X-Error-Message: no\u{1B}[31m"]) }
    #expect(throws: HubError.self) { try hub.pull(variables: ["HF_TOKEN": "hf_secret"]) }
  }

  @Test(
    "an answer that is not a hub's is refused",
    arguments: [
      "", "<html>", "{}", "[]", #"{"sha":"main","siblings":[]}"#, #"{"sha":"../../x","siblings":[]}"#,
      #"{"sha":"0123456789abcdef0123456789abcdef01234567"}"#,
      #"{"sha":"0123456789abcdef0123456789abcdef01234567","siblings":[{}]}"#,
    ])
  func foreign(text: String) throws {
    #expect(throws: HubError.self) {
      guard let json = try? JSONValue(parsing: text) else {
        throw HubError.invalidAnswer(repository: "a/b", reason: "it is not JSON")
      }
      _ = try HubModel(json: json, repository: "a/b")
    }
    let server = try LoopbackServer([
      "/api/models/maker/model/revision/main?blobs=true": .init(Array(text.utf8))
    ])
    let hub = try HubFixture()
    let error = #expect(throws: HubError.self) { try hub.pull(variables: ["HF_ENDPOINT": server.address + "/"]) }
    #expect(error?.description.contains("is HF_ENDPOINT a model hub?") == true)
  }

  @Test("pickles alone are refused with the way to convert, and so is what has no weights")
  func pickles() throws {
    let configuration = HubFixture.small("config.json", HubFixture.configuration)
    let pickled = try HubFixture([configuration, HubFixture.large("pytorch_model.bin", [1])])
    let error = #expect(throws: HubError.self) { try pickled.pull() }
    #expect(
      error?.description.contains("Python pickles") == true && error?.description.contains("save_pretrained") == true)
    #expect(pickled.server.requests.count == 1)
    for files in [
      [configuration, HubFixture.large("adapter_model.safetensors", [1])], [configuration],
      [HubFixture.large("model.safetensors", [1])], [HubFixture.large("unet/model.safetensors", [1])],
    ] {
      #expect(throws: HubError.self) { try HubFixture(files).pull() }
    }
  }

  @Test("what is called GGUF and is not is refused")
  func notGGUF() throws {
    let hub = try HubFixture([HubFixture.large("m.gguf", Array("<html>sign in</html>".utf8))])
    #expect(throws: StoreError.self) { try hub.pull() }
    #expect(try hub.store.list().isEmpty)
  }

  @Test(
    "names of models on a hub",
    arguments: [
      ("hf:a/b", "a/b", "main", nil), ("hf://a/b", "a/b", "main", nil), ("hf:a/b@v1", "a/b", "v1", nil),
      ("hf:A.x/b_c-d@refs/pr/3:Q4_K_M", "A.x/b_c-d", "refs/pr/3", "Q4_K_M"),
      ("hf:a/b:x@y/*.gguf", "a/b", "main", "x@y/*.gguf"),
    ])
  func names(source: String, repository: String, revision: String, pattern: String?) throws {
    let reference = try HubReference(source)
    #expect(reference.repository == repository && reference.revision == revision && reference.pattern == pattern)
    #expect(try HubReference(reference.source) == reference)
  }

  @Test(
    "what is no name of a model is refused",
    arguments: [
      "hf:", "hf:a", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/.b", "hf:a//b", "hf:/a/b", "hf:a/b@", "hf:a/b:",
      "hf:a/b@../x",
      "hf:a/b@x y", "hf:a/b@-x", "hf:a/b@x/", "hf:a b/c", "hf:a/b?x=1", "hf:a/b#c", "hf:a/é", "hf:a/b:c d",
      "hf:a/b@x\r\ny",
    ])
  func badNames(source: String) {
    #expect(throws: HubError.self) { try HubReference(source) }
  }

  @Test(
    "an endpoint is an http or https address",
    arguments: ["ftp://x", "x", "file:///x", "https://", "https://h?x", "http://a b"])
  func endpoint(address: String) {
    #expect(throws: HubError.self) { try HubSettings(Environment(["HF_ENDPOINT": address, "HOME": "/nonexistent"])) }
  }

  @Test("the public hub is asked unless the environment names another")
  func publicEndpoint() throws {
    let settings = try HubSettings(Environment(["HOME": "/nonexistent"]))
    #expect(
      settings.url(ofModel: "a/b", revision: "refs/pr/1")
        == "https://huggingface.co/api/models/a/b/revision/refs%2Fpr%2F1?blobs=true")
    #expect(
      settings.url(ofFile: "x y/ü.gguf", in: "a/b", commit: "c")
        == "https://huggingface.co/a/b/resolve/c/x%20y/%C3%BC.gguf")
  }
}
