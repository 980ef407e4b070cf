import AngelCore
import AngelHCF
import CSodium
import Glibc
import Synchronization

/// How the API is served.
public struct ServerOptions: Sendable {
  public var http = HTTPOptions()
  /// Origins of web pages that may read answers; `*` for all.
  public var origins: [String] = []
  /// Further names by which a server without keys on the loopback address is known.
  public var hostNames: [String] = []
  /// Whether adapters may be loaded and unloaded at run time.
  public var allowsAdapterLoading = false
  /// What `/version` says.
  public var version = ""
  public var requestLog = RequestLog(.off) { _ in }

  public init() {}
}

/// The OpenAI-compatible server: routes requests to endpoints once they have shown a key, and ends in order.
public final class APIServer: Sendable {
  public let options: ServerOptions
  public let shelf: ModelShelf
  let keys: KeyRing?
  let access: AccessPolicy
  let metrics = ServerMetrics()
  let readiness = Readiness()
  private let workers: JobQueue
  private let draining = Atomic<Bool>(false)
  private let http = Mutex<HTTPServer?>(nil)

  /// A server that does not listen yet.
  public init(_ shelf: ModelShelf, keys: KeyRing? = nil, options: ServerOptions) throws {
    self.options = options
    self.shelf = shelf
    self.keys = keys
    access = AccessPolicy(
      origins: options.origins, address: options.http.address, hasKeys: keys != nil, names: options.hostNames)
    workers = try JobQueue(threadCount: 2)
    _ = sodium_init()
  }

  /// Begins to listen; the port. Call it once.
  public func start() throws -> Int {
    let server = try HTTPServer(
      options.http, onSweep: { [weak self] in self?.sweep() }, wantsBody: { [weak self] in self?.wantsBody($0) == true }
    ) { [weak self] exchange in
      guard let self else {
        return exchange.send(Dialect(path: exchange.head.path).response(.draining, requestID: ""))
      }
      respond(exchange)
    }
    http.withLock { $0 = server }
    return server.port
  }

  var isDraining: Bool { draining.load(ordering: .acquiring) }
  /// Requests that are not answered to the end, and open connections.
  public var exchangeCount: Int { http.withLock { $0?.exchangeCount ?? 0 } }
  var connectionCount: Int { http.withLock { $0?.connectionCount ?? 0 } }

  /// Refuses new requests from now on and waits until those in hand have been answered, or `isUrgent` says to break them
  /// off; then closes everything. Call it once.
  public func stop(isUrgent: () -> Bool = { false }) {
    draining.store(true, ordering: .releasing)
    while exchangeCount > 0, !isUrgent() { usleep(10_000) }
    http.withLock { server in
      server?.stop()
      server = nil
    }
  }

  private func sweep() {
    keys?.refresh()
    readiness.sweep(now: MonotonicClock.seconds())
  }

  /// Whether a request with this head will be let in: from strangers no megabytes are kept.
  private func wantsBody(_ head: HTTPRequestHead) -> Bool {
    guard let keys else { return true }
    return (try? authorize(head, keys)) != nil
  }

  /// Answers a request that is whole, on the thread that received it.
  private func respond(_ exchange: HTTPExchange) {
    let begin = MonotonicClock.seconds()
    let id = Self.requestID(exchange.head)
    let matches = EndpointCatalog.matches(exchange.head.path)
    let call = Result<APICall, APIError> { () throws(APIError) in try admit(exchange, matches, id) }
    exchange.whenOver { [self] outcome in
      let key = try? call.get().key?.name
      var record = (try? call.get().record) ?? RequestRecord()
      if case .failure(let error) = call { record.error = error.code }
      options.requestLog.add(
        record, exchange.head, id: id, key: key, outcome, seconds: MonotonicClock.seconds() - begin)
      metrics.countAnswer(
        handler: matches.first?.endpoint.path ?? "none", method: Self.known(exchange.head.method),
        status: outcome.status)
    }
    switch call {
    case .success(let call):
      if call.endpoint.method == .get { return call.run() }
      if !workers.add({ call.run() }) { call.fail(APIError.draining) }
    case .failure(let error): refuse(exchange, error, matches, id)
    }
  }

  /// A method as a label: no client may make up new ones.
  private static func known(_ method: String) -> String {
    ["GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH"].contains(method) ? method : "other"
  }

  private func refuse(
    _ exchange: HTTPExchange, _ error: APIError, _ matches: [EndpointCatalog.Match], _ id: String
  ) {
    let methods = matches.map { $0.endpoint.method.rawValue } + ["OPTIONS"]
    let dialect = Dialect(path: exchange.head.path)
    var response = dialect.response(error, requestID: id)
    if exchange.head.method == "OPTIONS", error.status == 405 {
      response = access.preflight(exchange.head, methods: methods)
    } else {
      response.headers += access.headers(for: exchange.head)
    }
    if error.status == 405 { response.headers.append(("allow", methods.joined(separator: ", "))) }
    if error.status == 401 { response.headers.append(("www-authenticate", "Bearer")) }
    response.headers += dialect.nameHeaders(id)
    exchange.send(response)
  }

  /// Finds the endpoint and checks that the client may use it.
  private func admit(
    _ exchange: HTTPExchange, _ matches: [EndpointCatalog.Match], _ id: String
  ) throws(APIError) -> APICall {
    let head = exchange.head
    try access.check(head)
    guard !matches.isEmpty else {
      throw APIError(
        status: 404, "there is nothing at '\(head.path.prefix(200))': /openapi.json describes what there is",
        code: "not_found")
    }
    let method = head.method == "HEAD" ? "GET" : head.method
    guard let match = matches.first(where: { $0.endpoint.method.rawValue == method }) else {
      throw APIError(
        status: 405, "\(head.path.prefix(200)) does not take \(head.method.prefix(20))", code: "method_not_allowed")
    }
    if isDraining, !match.endpoint.isOpen { throw .draining }
    guard let keys, !match.endpoint.isOpen else { return APICall(self, exchange, match, requestID: id, key: nil) }
    let key = try authorize(head, keys)
    // A key may become known while a body comes that was dropped for the want of it.
    if exchange.isBodyUnwanted { throw Self.unknownKey }
    guard key.allows(endpoint: match.endpoint.path) else {
      throw APIError(
        status: 403, "key '\(key.name)' may not use \(match.endpoint.path)", code: "endpoint_not_allowed")
    }
    if match.endpoint.method == .post { try keys.begin(key, now: MonotonicClock.seconds()) }
    return APICall(self, exchange, match, requestID: id, key: key)
  }

  private func authorize(_ head: HTTPRequestHead, _ keys: KeyRing) throws(APIError) -> APIKey {
    guard let header = head.headers["authorization"] else {
      // As Anthropic's clients send it.
      guard let text = head.headers["x-api-key"] else {
        throw APIError(
          status: 401, "there is no API key: send it in a header, 'Authorization: Bearer KEY' or 'x-api-key: KEY'",
          code: "missing_api_key")
      }
      guard let key = keys.key(text) else { throw Self.unknownKey }
      return key
    }
    let words = header.split(separator: " ", maxSplits: 1)
    guard words.count == 2, words[0].lowercased() == "bearer", let key = keys.key(String(words[1])) else {
      throw Self.unknownKey
    }
    return key
  }

  private static let unknownKey = APIError(
    status: 401, "the API key is not known: it may have been revoked, or mistyped", code: "invalid_api_key")

  /// The client's own name for its request where it is a harmless one, else a new one.
  private static func requestID(_ head: HTTPRequestHead) -> String {
    if let given = head.headers["x-request-id"], (1...128).contains(given.utf8.count),
      given.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") })
    {
      return given
    }
    return "req-" + randomName()
  }

  /// 96 random bits as hexadecimal digits.
  static func randomName() -> String {
    let words = [randombytes_random(), randombytes_random(), randombytes_random()]
    return words.map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
  }

  /// The paths that a key may be held to.
  public static var endpointPaths: [String] { EndpointCatalog.all.filter { !$0.isOpen }.map { $0.path } }

  /// Seconds since 1970.
  static var unixTime: Int { time(nil) }
}
