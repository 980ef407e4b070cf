import AngelCore
import AngelTesting
import Glibc
import Testing

@testable import AngelCheckpoint
@testable import angel

/// `angel pull hf:…` and `angel models`, against a hub of our own.
@Suite("Pulling from a hub", .enabled(if: HTTPSession.isAvailable, "libcurl is not installed"))
struct HubPullTests {
  let folder: TemporaryFolder
  let program: ProgramRunner

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
  }

  private func file(_ path: String, _ bytes: [UInt8]) -> HubServer.File {
    HubServer.File(path, bytes, digest: SHA256.hexadecimal(of: bytes))
  }

  @Test("a model is pulled, listed with commit and license, shown, found by its hf: name, and removed")
  func life() throws {
    let weights = try Goldens.bytes("models/llama-tiny/llama-tiny-Q4_0.gguf")
    let hub = try HubServer(.init([file("tiny-Q4_0.gguf", weights)]))
    let run = { (words: [String]) in try program.run(words, variables: ["HF_ENDPOINT": hub.address]) }
    let pulled = try run(["pull", "hf:maker/model:Q4_0"])
    #expect(pulled.code == .success, "\(pulled.errors)")
    #expect(pulled.output.hasPrefix("tiny-q4_0 is in the store: "))
    #expect(pulled.output.hasSuffix(", commit 0123456789ab, license apache-2.0)\n"))
    let again = try run(["pull", "hf:maker/model:Q4_0", "--json"]).json
    #expect(again["already_present"] == true && again["revision"] == "main")
    #expect(again["commit"] == "0123456789abcdef0123456789abcdef01234567")
    let list = try run(["models"]).output
    for text in ["tiny-q4_0", "apache-2.0", "0123456", "hf:maker/model:Q4_0"] { #expect(list.contains(text)) }
    let card = try run(["models", "show", "hf:maker/model:Q4_0"]).output
    for text in ["\nrevision       main\n", "\ncommit         0123456789abcdef", "\nlicense        "] {
      #expect(card.contains(text), "\(card)")
    }
    #expect(try run(["models", "show", "tiny-q4_0", "--json"]).json["commit"] == again["commit"])
    #expect(try run(["models", "show", "hf:maker/other"]).errors.contains("get it with angel pull hf:maker/other"))
    #expect(try run(["models", "remove", "tiny-q4_0"]).output.hasPrefix("removed tiny-q4_0 ("))
  }

  @Test("a pull that was cut off is listed, and removed by its source")
  func unfinished() throws {
    try folder.write("hf:maker/model\n".utf8, to: "home/downloads/hub-bb/lock")
    try folder.write([UInt8](repeating: 1, count: 20_000), to: "home/downloads/hub-bb/x.part")
    let text = try program.run(["models"]).output
    #expect(text.contains("\n  hf:maker/model  ") && text.hasSuffix(", today\n"))
    let listed = try #require(program.run(["models", "--json"]).json["unfinished"]?.array)
    #expect(listed.map { $0["source"] } == ["hf:maker/model"])
    #expect(try program.run(["models", "remove", "hf:maker/model"]).output.hasPrefix("removed hf:maker/model ("))
    #expect(folder.files(below: "home/downloads").isEmpty)
    #expect(try program.run(["models", "remove", "hf:maker/model"]).code == .failure)
  }

  @Test("an error of a hub is one line, and with --json an object")
  func errors() throws {
    let hub = try HubServer(.init([]))
    let outcome = try program.run(["pull", "hf:maker/none", "--json"], variables: ["HF_ENDPOINT": hub.address])
    #expect(outcome.code == .failure && outcome.errors.hasPrefix("error: 'maker/none' is not on the hub"))
    #expect(try outcome.json["error"]?.string?.contains("set HF_TOKEN") == true)
    #expect(try program.run(["pull", "hf:maker"]).errors.contains("hf:organisation/name[@revision][:pattern]"))
  }

  @Test("proxies are used as curl does: http_proxy, and no_proxy for what needs none")
  func proxy() throws {
    let hub = try HubServer(.init([file("m.gguf", Array("GGUF".utf8) + [UInt8](repeating: 1, count: 5000))]))
    var status: Int32 = 0
    // A host that does not exist: only the proxy is asked.
    let variables = ["HF_ENDPOINT=http://hub.invalid", "http_proxy=\(hub.address)", "no_proxy=127.0.0.1"]
    waitpid(try start(["pull", "hf:maker/model"], variables), &status, 0)
    #expect(status == 0)
    #expect(hub.requests.map(\.isProxied) == [true, true, false])
    #expect(hub.requests.map(\.host) == [.hub, .hub, .files])
  }

  // MARK: kill -9

  @Test("after kill -9 in the middle of three files, only the bytes that had not arrived are fetched")
  func killed() throws {
    let shards = (1...3).map { number in
      file("model-0000\(number)-of-00003.safetensors", (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* number) })
    }
    let map = shards.map { "\"t\($0.path)\":\"\($0.path)\"" }.joined(separator: ",")
    let index = file("model.safetensors.index.json", Array("{\"weight_map\":{\(map)}}".utf8))
    let hub = try HubServer(.init(shards + [index, file("config.json", Array("{}".utf8))]))
    // Each shard's connection brings so many bytes and then nothing more.
    let stops = Dictionary(uniqueKeysWithValues: zip(shards.map(\.digest), [123_457, 70_000, 299_999]))
    hub.setTrouble { request, _ in
      request.host == .files
        ? stops[String(request.path.split(separator: "/").last ?? "")].map { .stalls(after: $0) } : nil
    }
    let child = try start(["pull", "hf:maker/model", "--name", "m"], ["HF_ENDPOINT=\(hub.address)"])
    // The small files have come whole by then.
    let expected = (Array(stops.values) + [2, index.bytes.count]).sorted()
    waitUntil(child) { journals().sorted() == expected }
    #expect(journals().sorted() == expected)
    kill(child, SIGKILL)
    var status: Int32 = 0
    waitpid(child, &status, 0)
    #expect(status & 0x7F == SIGKILL)
    #expect(try ModelStore(root: folder("home")).list().isEmpty)

    let before = hub.requests.count
    hub.setTrouble { _, _ in nil }
    waitpid(try start(["pull", "hf:maker/model", "--name", "m"], ["HF_ENDPOINT=\(hub.address)"]), &status, 0)
    #expect(status == 0)
    for shard in shards {
      #expect(try TemporaryFolder.read(folder("home/models/m/" + shard.path)) == shard.bytes)
      // The rest of each, in one request, and nothing of what was there.
      let asked = hub.requests[before...].filter { $0.host == .files && $0.path.hasSuffix(shard.digest) }
      #expect(asked.map(\.range) == ["bytes=\(stops[shard.digest] ?? 0)-299999"])
      #expect(hub.bytesSent(of: shard.path) == shard.bytes.count)
    }
    // The small files had been whole.
    #expect(hub.requests[before...].allSatisfy { $0.host == .files || !$0.path.hasSuffix(".json") })
    #expect(folder.files(below: "home/downloads").allSatisfy { $0.hasSuffix("/") })
  }

  /// What the journals of all parts count, in any order; none where a journal is being written.
  private func journals() -> [Int] {
    folder.files(below: "home/downloads").filter { $0.hasSuffix(".journal") }.map { name in
      let bytes = (try? TemporaryFolder.read(folder(name))) ?? []
      return bytes.dropFirst(512).prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    }
  }

  /// Waits for a state that the child reaches by itself; a child that ends first ends the wait.
  private func waitUntil(_ child: pid_t, _ isReached: () -> Bool) {
    var information = siginfo_t()
    while !isReached() {
      let ended = waitid(P_PID, id_t(child), &information, WEXITED | WNOHANG | WNOWAIT) != 0
      if ended || information._sifields._kill.si_pid == child { return }
      usleep(10_000)
    }
  }

  /// Starts the program itself, built beside the tests.
  private func start(_ words: [String], _ variables: [String]) throws -> pid_t {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let tests = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let path = String(tests.prefix(upTo: tests.lastIndex(of: "/") ?? tests.startIndex)) + "/angel"
    let entries = variables + ["ANGEL_HOME=\(folder("home"))", "HOME=\(folder("user"))"]
    var arguments = ([path] + words).map { strdup($0) } + [nil]
    var environment = entries.map { strdup($0) } + [nil]
    defer { for text in arguments + environment { free(text) } }
    var child: pid_t = 0
    guard posix_spawn(&child, path, nil, nil, &arguments, &environment) == 0 else {
      throw TestingFailure("cannot start \(path)")
    }
    return child
  }
}
