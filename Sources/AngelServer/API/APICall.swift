import AngelCore
import AngelGrammar
import AngelHCF
import Synchronization

/// One request on its way through an endpoint: who asks, for what, and the ways to answer.
final class APICall: Sendable {
  let server: APIServer
  let exchange: HTTPExchange
  let endpoint: any Endpoint.Type
  /// What the path has in the place of the braces in the endpoint's.
  let argument: String
  let requestID: String
  /// Nil where the server has no keys, or the endpoint wants none.
  let key: APIKey?
  private let state = Mutex(State())

  private struct State {
    var body = RequestBody.empty
    var record = RequestRecord()
    /// What has no effect, by what the endpoint found out beyond the body's check.
    var ignored: [String] = []
  }

  init(
    _ server: APIServer, _ exchange: HTTPExchange, _ match: EndpointCatalog.Match, requestID: String, key: APIKey?
  ) {
    self.server = server
    self.exchange = exchange
    endpoint = match.endpoint
    argument = match.argument
    self.requestID = requestID
    self.key = key
  }

  /// Whose interface is asked.
  private var dialect: Dialect { Dialect(path: exchange.head.path) }

  /// The checked body.
  var body: RequestBody { state.withLock(\.body) }

  /// What the request log will say.
  var record: RequestRecord { state.withLock(\.record) }
  func note(_ change: (inout RequestRecord) -> Void) { state.withLock { change(&$0.record) } }

  /// Notes that a field, or one of its values, has no effect; the answer says so.
  func ignore(_ field: String) { state.withLock { $0.ignored.append(field) } }

  /// Reads and checks the body, then lets the endpoint answer.
  func run() {
    do {
      if endpoint.method == .post { try readBody() }
      try endpoint.respond(self)
    } catch {
      fail(error)
    }
  }

  private func readBody() throws(APIError) {
    let bytes = try takeBody()
    let type = (exchange.head.headers["content-type"] ?? "").lowercased().prefix { $0 != ";" && $0 != " " }
    guard type == "application/json" else {
      throw APIError(
        status: 415,
        "the content type is '\(type.prefix(80))': send application/json, "
          + "with curl: -H 'content-type: application/json'",
        code: "unsupported_media_type")
    }
    let body = try RequestBody(bytes, endpoint.fields)
    state.withLock { $0.body = body }
  }

  private func takeBody() throws(APIError) -> [UInt8] {
    do { return try exchange.takeBody() } catch {
      switch error {
      case .tooLong, .unwanted:
        throw APIError(
          status: 413, "the request's body is longer than \(server.options.http.bodyLimit) bytes",
          code: "body_too_large")
      case .serverFull:
        throw APIError(
          status: 503, type: "server_error", "too many requests with long bodies are coming in: try again in 5 s",
          code: "bodies_full", retryAfter: 5)
      }
    }
  }

  // Answers

  /// The headers of every answer.
  private var headers: [(name: String, value: String)] {
    var headers = dialect.nameHeaders(requestID)
    if let key, let keys = server.keys { headers += keys.headers(key, now: MonotonicClock.seconds()) }
    let ignored = state.withLock { $0.body.ignored + $0.ignored }
    if !ignored.isEmpty {
      // RFC 9111 has retired the codes, not the header's form; 299 is "miscellaneous, persistent".
      let names = ignored.map { String($0.prefix(80)) }.joined(separator: ", ")
      headers.append(("warning", "299 angel \"without effect: \(names)\""))
    }
    return headers + server.access.headers(for: exchange.head)
  }

  /// Answers with JSON that `make` puts together on one of the server's threads.
  func send(_ make: @escaping @Sendable () -> JSONValue) {
    exchange.send { [self] in finish(HTTPResponse(status: 200, type: "application/json", make().encoded())) }
  }

  func send(_ response: HTTPResponse) { exchange.send { [self] in finish(response) } }

  /// Answers with a stream of that content type.
  func stream(_ source: any ResponseSource, type: String) {
    exchange.send { [self] in
      finish(
        HTTPResponse(
          status: 200,
          headers: [
            ("content-type", type), ("cache-control", "no-cache"),
            ("x-accel-buffering", "no"),
          ], body: .stream(source)))
    }
  }

  func fail(_ error: any Error) {
    let error = Self.apiError(error)
    note { $0.error = error.code }
    send(dialect.response(error, requestID: requestID))
  }

  private func finish(_ response: HTTPResponse) -> HTTPResponse {
    var response = response
    response.headers += headers
    return response
  }

  /// Any error as the client is told of it. What is not the client's doing is the server's.
  static func apiError(_ error: any Error) -> APIError {
    switch error {
    case let error as APIError: error
    case let error as ServingRefusal:
      switch error {
      case .queueFull(_, _, let seconds):
        APIError(
          status: 429, type: "rate_limit_exceeded", error.description, code: "queue_full", retryAfter: max(1, seconds))
      case .draining: .draining
      }
    case let error as SamplingError: SamplingFields.apiError(error)
    case let error as EngineError: engineError(error)
    case let error as GrammarError: APIError(status: 400, error.description, code: "unsupported_grammar")
    case is Interrupted: APIError(status: 503, type: "server_error", "the request was cancelled", code: "cancelled")
    case let error as any DescribedError: .server(error.description)
    default: .server("\(type(of: error))")
    }
  }

  private static func engineError(_ error: EngineError) -> APIError {
    switch error {
    case .emptyPrompt, .tokenOutOfRange, .contextExceeded, .noRoomForAnswer, .contextTooLong, .contextTooSparse:
      APIError(status: 400, error.description, code: "invalid_value")
    case .adapterMissing:
      APIError(status: 404, error.description, parameter: "model", code: "model_not_found")
    case .adapterExists, .adaptersFull: APIError(status: 400, error.description, code: "invalid_value")
    case .memoryExceeded, .cacheExceeded, .encoderMemoryExceeded, .adapterMemory:
      APIError(status: 503, type: "server_error", error.description, code: "out_of_memory", retryAfter: 10)
    case .damagedLogits: .server(error.description)
    }
  }

  // Models

  /// Finds the model that the body names (the first one where it names none) and calls `work` with it once it is loaded.
  ///
  /// - Parameter asked: the name where a dialect writes it otherwise.
  func withModel(
    named asked: String? = nil, _ work: @escaping @Sendable (ModelUse) throws -> Void
  ) throws(APIError) {
    let name = asked ?? body.string("model") ?? server.shelf.models[0].name
    try admitModel(name)
    server.shelf.use(name) { [self] result in
      do {
        try work(result.get())
      } catch {
        fail(error)
      }
    }
  }

  /// Checks that there is a model of that name and that the client may use it.
  func admitModel(_ name: String) throws(APIError) {
    guard server.shelf.names.contains(name) else {
      let names = server.shelf.names.filter { key?.allows(model: $0) ?? true }
      throw APIError(
        status: 404, "there is no model '\(name.prefix(80))': this server has \(names.joined(separator: ", "))",
        parameter: "model", code: "model_not_found")
    }
    if let key, !key.allows(model: name) {
      throw APIError(
        status: 403, "key '\(key.name)' may not use model '\(name)'", parameter: "model", code: "model_not_allowed")
    }
    note { $0.model = name }
  }

  /// The engine of a model that answers with text.
  func engine(of use: ModelUse) throws(APIError) -> any ServingEngine {
    guard case .language(let engine) = use.model else {
      let path = dialect == .ollama ? OllamaEmbedEndpoint.path : EmbeddingsEndpoint.path
      throw .invalid("model", "names '\(use.name)', which makes vectors, not text: use \(path)")
    }
    return engine
  }

  /// Counts what a request took, where its key has a limit on tokens.
  func charge(_ usage: ServingUsage) {
    note { record in
      record.promptTokens = (record.promptTokens ?? 0) + usage.promptTokens
      record.cachedTokens = (record.cachedTokens ?? 0) + usage.cachedTokens
      record.completionTokens = (record.completionTokens ?? 0) + usage.completionTokens
      record.secondsQueued = max(record.secondsQueued ?? 0, usage.secondsQueued)
      record.secondsToFirstToken = max(record.secondsToFirstToken ?? 0, usage.secondsToFirstToken)
    }
    if let key {
      server.keys?.charge(key, tokens: usage.promptTokens + usage.completionTokens, now: MonotonicClock.seconds())
    }
  }
}
