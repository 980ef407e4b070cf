import AngelCheckpoint
import AngelCore
import AngelCPU
import AngelHCF
import AngelTesting
import Glibc
import Synchronization

@testable import AngelServer

/// A server on a free port of this machine, over a scripted engine unless another model is given; it ends with its owner.
final class RunningServer: Sendable {
  let engine: ScriptedEngine
  let server: APIServer
  let place: HTTPClient.Place
  /// Lines of the request log.
  let log: LineRecorder

  /// What a server says, line by line.
  final class LineRecorder: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
  }

  convenience init(
    _ engine: ScriptedEngine? = nil, keys: KeyRing? = nil, others: [ServedModel] = [],
    _ change: (inout ServerOptions) -> Void = { _ in }
  ) throws {
    let engine = try engine ?? ScriptedEngine()
    let model = ServedModel(name: "scripted", created: 1) { OpenedModel(byteCount: 100) { .language(engine) } }
    try self.init(engine, [model] + others, keys: keys, change)
  }

  /// Over another model, and adapters beside it.
  convenience init(
    _ model: ServedModel, adapters: [ServedAdapter], _ change: (inout ServerOptions) -> Void
  ) throws {
    try self.init(ScriptedEngine(), [model], adapters: adapters, change)
  }

  /// Over other models.
  convenience init(
    models: [ServedModel], adapters: [ServedAdapter] = [], keys: KeyRing? = nil, budget: Int = 1 << 40
  ) throws {
    try self.init(ScriptedEngine(), models, adapters: adapters, keys: keys, budget: budget) { _ in }
  }

  private init(
    _ engine: ScriptedEngine, _ models: [ServedModel], adapters: [ServedAdapter] = [], keys: KeyRing? = nil,
    budget: Int = 1 << 40, _ change: (inout ServerOptions) -> Void
  ) throws {
    self.engine = engine
    let shelf = try ModelShelf(models, adapters: adapters, budget: budget, log: .silent)
    var options = ServerOptions()
    options.http.port = 0
    options.version = "test"
    let log = LineRecorder()
    options.requestLog = RequestLog(.json) { log.add($0) }
    change(&options)
    self.log = log
    server = try APIServer(shelf, keys: keys, options: options)
    place = HTTPClient.Place(host: "127.0.0.1", port: try server.start())
    try load(models[0].name)
  }

  deinit { server.stop { true } }

  /// Loads a model and waits for it.
  func load(_ name: String) throws {
    let answer = Mailbox<Result<ModelUse, any Error>>()
    server.shelf.use(name) { answer.send($0) }
    for result in answer.receive(waits: true) { _ = try result.get() }
  }

  /// The encoder among the golden models.
  static func encoder() -> ServedModel {
    ServedModel(name: "encoder", created: 1) {
      OpenedModel(byteCount: 100) {
        let backend = try CPUBackend(threadCount: 1)
        let embedder = try TextEmbedder(
          Checkpoint.open(Goldens.path("models/bert-tiny")), on: backend, pool: backend.pool, arithmetic: .f32)
        return .encoder(try EncoderService(embedder))
      }
    }
  }

  /// Asks on a connection of its own. The request's name is fixed, so that answers are.
  func ask(
    _ method: String, _ path: String, _ body: String? = nil, headers: [(name: String, value: String)] = []
  ) throws -> HTTPClient.Response {
    let client = try HTTPClient(place, seconds: 60)
    var all = headers
    if !headers.contains(where: { $0.name == "x-request-id" }) { all.append(("x-request-id", "one")) }
    if body != nil, !headers.contains(where: { $0.name == "content-type" }) {
      all.append(("content-type", "application/json"))
    }
    try client.send(method, path, headers: all, body: Array((body ?? "").utf8))
    return try client.response(toHead: method == "HEAD")
  }

  func post(_ path: String, _ body: String, headers: [(name: String, value: String)] = []) throws -> HTTPClient.Response
  {
    try ask("POST", path, body, headers: headers)
  }

  func get(_ path: String, headers: [(name: String, value: String)] = []) throws -> HTTPClient.Response {
    try ask("GET", path, headers: headers)
  }
}

extension HTTPClient.Response {
  /// The body with the time it was made taken out.
  var timeless: String { text.replacing(/"created(_at)?":\d+/) { "\"created\($0.1 ?? "")\":0" } }

  var json: JSONValue { get throws { try JSONValue(parsing: body) } }

  /// An error's fields.
  var error: (status: Int, parameter: String?, code: String?) {
    let error = (try? json)?["error"]
    return (status, error?["param"]?.string, error?["code"]?.string)
  }
}

/// Waits until `condition` holds; false when it has not after half a minute.
func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<6000 {
    if condition() { return true }
    waitALittle()
  }
  return condition()
}

func waitALittle() { usleep(5_000) }
