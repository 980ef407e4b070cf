import Synchronization

/// A small HTTP server on 127.0.0.1 that can misbehave in the ways downloads meet.
public final class LoopbackServer: Sendable {
  /// How a path answers.
  public struct Route: Sendable {
    public var body: [UInt8]
    public var entityTag: String?
    public var conduct: Conduct

    public init(_ body: [UInt8], entityTag: String? = nil, conduct: Conduct = .proper) {
      self.body = body
      self.entityTag = entityTag
      self.conduct = conduct
    }
  }

  /// What a route does instead of answering properly.
  public enum Conduct: Sendable, Equatable {
    case proper
    /// Always sends the whole body.
    case ignoresRanges
    /// Closes the connection after so many bytes of the body, so many times, then answers properly.
    case cuts(after: Int, times: Int)
    /// Sends another range than the one asked for.
    case shiftsRanges
    /// Announces so many bytes, whatever the body has.
    case claims(length: Int)
    case status(Int)
    /// Another status so many times, then answers properly.
    case refuses(Int, times: Int)
    case redirects(to: String)
  }

  /// A request as it came in.
  public struct Request: Sendable, Equatable {
    public let path: String
    public let range: String?
    public let condition: String?

    public init(path: String, range: String? = nil, condition: String? = nil) {
      self.path = path
      self.range = range
      self.condition = condition
    }
  }

  private struct State {
    var routes: [String: Route]
    var requests: [Request] = []
  }

  /// `http://127.0.0.1:port`.
  public var address: String { listener.address }
  private let listener: LoopbackListener
  private let ledger: Ledger

  /// What the connections' threads share with the server.
  private final class Ledger: Sendable {
    let state: Mutex<State>
    init(_ routes: [String: Route]) { state = Mutex(State(routes: routes)) }
  }

  public init(_ routes: [String: Route]) throws {
    let ledger = Ledger(routes)
    self.ledger = ledger
    listener = try LoopbackListener { Self.answer($0, ledger) }
  }

  /// The requests so far.
  public var requests: [Request] { ledger.state.withLock(\.requests) }

  /// Changes how a path answers from now on.
  public func setRoute(_ path: String, _ route: Route) { ledger.state.withLock { $0.routes[path] = route } }

  private static func answer(_ connection: LoopbackConnection, _ ledger: Ledger) {
    guard let head = connection.readHead() else { return }
    let request = Request(path: head.path, range: head["range"], condition: head["if-range"])
    let route = ledger.state.withLock { state -> Route? in
      state.requests.append(request)
      let route = state.routes[request.path]
      if case .cuts(let after, let times)? = route?.conduct {
        state.routes[request.path]?.conduct = times > 1 ? .cuts(after: after, times: times - 1) : .proper
      }
      if case .refuses(let status, let times)? = route?.conduct {
        state.routes[request.path]?.conduct = times > 1 ? .refuses(status, times: times - 1) : .proper
      }
      return route
    }
    guard let route else { return connection.send("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone") }
    answer(request, by: route, on: connection)
  }

  private static func answer(_ request: Request, by route: Route, on connection: LoopbackConnection) {
    var start = 0
    if route.conduct != .ignoresRanges, let range = request.range, range.hasPrefix("bytes="), range.hasSuffix("-"),
      request.condition == nil || request.condition == route.entityTag
    {
      start = Int(range.dropFirst(6).dropLast()) ?? 0
    }
    let tag = route.entityTag.map { "ETag: \($0)\r\n" } ?? ""
    switch route.conduct {
    case .status(let status), .refuses(let status, _):
      return connection.send("HTTP/1.1 \(status) Trouble\r\nContent-Length: 7\r\n\r\ntrouble")
    case .redirects(let path):
      return connection.send("HTTP/1.1 302 Found\r\nLocation: \(path)\r\nContent-Length: 5\r\n\r\nmoved")
    case .proper, .ignoresRanges, .cuts, .claims, .shiftsRanges: break
    }
    if start > 0, start >= route.body.count {
      return connection.send(
        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */\(route.body.count)\r\nContent-Length: 0\r\n\r\n")
    }
    let sent = route.conduct == .shiftsRanges && start > 0 ? start - 1 : start
    var body = route.body[sent...]
    var length = body.count
    if case .claims(let claim) = route.conduct { length = claim }
    let status =
      start > 0
      ? "206 Partial Content\r\nContent-Range: bytes \(sent)-\(route.body.count - 1)/\(route.body.count)" : "200 OK"
    if case .cuts(let count, _) = route.conduct { body = body.prefix(count) }
    connection.send("HTTP/1.1 \(status)\r\n\(tag)Content-Length: \(length)\r\nConnection: close\r\n\r\n")
    connection.send(Array(body))
  }
}
