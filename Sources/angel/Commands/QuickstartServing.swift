import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelPTM
import AngelServer
import Glibc
import Synchronization

/// The end of `angel quickstart`: the model that was taught is written down as one of its own, served on a free port of
/// this machine by this process, and asked over HTTP as any client would.
struct QuickstartServing {
  /// What came of it.
  struct Outcome {
    /// The folder of the model, and what the server called it.
    var path: String
    var name: String
    var url: String
    var request: JSONValue
    var answer: String
    /// From the request to its whole answer.
    var seconds: Double

    /// The words that serve the model again.
    var command: String { "angel serve \(TextFormat.shellWord(path))" }
    /// The words that ask it the same then.
    var curl: String {
      // An apostrophe would end the shell's quotes.
      let body = request.encoded().replacing("'", with: #"\u0027"#)
      return "curl http://127.0.0.1:\(ServeCommand.port.defaultValue)\(Self.endpoint)"
        + " -H 'content-type: application/json' -d '\(body)'"
    }

    static let endpoint = "/v1/chat/completions"

    var json: JSONValue {
      [
        "path": .string(path), "model": .string(name), "url": .string(url), "request": request,
        "answer": .string(answer), "seconds": .number(seconds), "command": .string(command), "curl": .string(curl),
      ]
    }
  }

  private let context: CommandContext
  private let backend: CPUBackend

  init(on backend: CPUBackend, _ context: CommandContext) {
    self.backend = backend
    self.context = context
  }

  /// Merges the adapter into the model and asks `prompt`; throws what keeps a server from being started here.
  ///
  /// - Parameter model: whose files the adapter belongs to; the new model's folder lies beside the adapter's run.
  func run(
    _ model: Checkpoint, _ tuned: QuickstartTuning.Outcome, _ prompt: String, _ options: EngineOptions, maxTokens: Int
  ) throws -> Outcome {
    if FilePath.kind(tuned.merged) != nil { try FileOperations.remove(tuned.merged) }
    _ = try AdapterMerging(model, adapter: tuned.adapter).write(to: tuned.merged, as: .bfloat16, on: backend)
    let name = FilePath.split(tuned.merged).name
    let server = try makeServer(name, try Checkpoint.open(tuned.merged), options)
    let url = "http://127.0.0.1:\(try server.start())"
    defer { server.stop { context.interruption.isRequested } }
    let request: JSONValue = [
      "model": .string(name), "messages": [["role": "user", "content": .string(prompt)]],
      "max_tokens": .integer(maxTokens), "temperature": 0,
    ]
    let (answer, seconds) = try ask(url, request)
    return Outcome(path: tuned.merged, name: name, url: url, request: request, answer: answer, seconds: seconds)
  }

  /// A server of this one model, which is loaded before anybody can ask.
  private func makeServer(_ name: String, _ checkpoint: Checkpoint, _ engine: EngineOptions) throws -> APIServer {
    var serving = ServingOptions()
    serving.engine = engine
    serving.sequenceLimit = 1
    let display = context.progress.start("loading \(name)", total: checkpoint.card.byteCount)
    let loaded = try BatchEngine(
      checkpoint, on: backend, pool: backend.pool, arithmetic: context.arithmetic, options: serving,
      report: { display.update(to: $0, total: $1) })
    display.finish()
    let model = ServedModel(name: name, created: context.startTime) {
      OpenedModel(byteCount: checkpoint.card.byteCount) { .language(loaded) }
    }
    var options = ServerOptions()
    options.http.port = 0
    options.version = Angel.version
    return try APIServer(
      ModelShelf([model], budget: backend.pool.budget, log: context.log), options: options)
  }

  /// Asks on a thread of its own, so that Ctrl-C is heard meanwhile: then the end of the server ends it too.
  private func ask(_ url: String, _ request: JSONValue) throws -> (answer: String, seconds: Double) {
    let outcome = Outbox()
    try DedicatedThread {
      let begin = MonotonicClock.seconds()
      let result = Result { (answer: try Self.answer(url, request), seconds: MonotonicClock.seconds() - begin) }
      outcome.value.withLock { $0 = result }
    }.detach()
    while true {
      try context.interruption.check()
      if let result = outcome.value.withLock({ $0 }) { return try result.get() }
      usleep(5_000)
    }
  }

  /// Where the thread that asks puts what came of it.
  private final class Outbox: Sendable {
    let value = Mutex<Result<(answer: String, seconds: Double), any Error>?>(nil)
  }

  private static func answer(_ url: String, _ request: JSONValue) throws -> String {
    guard let place = HTTPClient.Place(url: url) else { throw BenchServeError.empty }
    let client = try HTTPClient(place)
    try client.send(
      "POST", Outcome.endpoint, headers: [("content-type", "application/json")], body: Array(request.encoded().utf8))
    let response = try client.response()
    guard response.status == 200,
      let text = try JSONValue(parsing: response.body)["choices"]?.array?.first?["message"]?["content"]?.string
    else { throw BenchServeError.answer(status: response.status, body: response.text) }
    return text
  }
}
