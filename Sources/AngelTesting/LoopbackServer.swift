import Glibc
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
  public let address: String
  private let listener: Int32
  private let state: Mutex<State>

  public init(_ routes: [String: Route]) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutableBytes(of: &place) { bytes -> Int32 in
      guard let base = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), bind(descriptor, base, length) == 0,
        listen(descriptor, 16) == 0
      else { return -1 }
      return getsockname(descriptor, base, &length)
    }
    guard code == 0 else { throw TestingFailure("cannot listen on 127.0.0.1") }
    address = "http://127.0.0.1:\(UInt16(bigEndian: place.sin_port))"
    listener = descriptor
    state = Mutex(State(routes: routes))
    signal(SIGPIPE, SIG_IGN)
    var thread = pthread_t()
    let server = Unmanaged.passRetained(Weak(self))
    pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<Weak>.fromOpaque(context).takeRetainedValue().serve()
        return nil
      }, server.toOpaque())
    pthread_detach(thread)
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
  }

  /// The requests so far.
  public var requests: [Request] { state.withLock(\.requests) }

  /// Changes how a path answers from now on.
  public func setRoute(_ path: String, _ route: Route) { state.withLock { $0.routes[path] = route } }

  /// Keeps the accepting thread from keeping the server alive.
  private final class Weak: Sendable {
    private let descriptor: Int32
    private let server: WeakReference

    init(_ server: LoopbackServer) {
      descriptor = server.listener
      self.server = WeakReference(server)
    }

    func serve() {
      while case let connection = accept(descriptor, nil, nil), connection >= 0 {
        server.value?.answer(connection)
        close(connection)
      }
      close(descriptor)
    }
  }

  private struct WeakReference: Sendable {
    weak let value: LoopbackServer?
    init(_ value: LoopbackServer) { self.value = value }
  }

  private func answer(_ connection: Int32) {
    guard let request = read(connection) else { return }
    let route = state.withLock { state -> Route? in
      state.requests.append(request)
      let route = state.routes[request.path]
      if case .cuts(let after, let times)? = route?.conduct {
        state.routes[request.path]?.conduct = times > 1 ? .cuts(after: after, times: times - 1) : .proper
      }
      return route
    }
    guard let route else { return send("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", to: connection) }
    answer(request, by: route, on: connection)
  }

  private func answer(_ request: Request, by route: Route, on connection: Int32) {
    var start = 0
    if route.conduct != .ignoresRanges, let range = request.range, range.hasPrefix("bytes="), range.hasSuffix("-"),
      request.condition == nil || request.condition == route.entityTag
    {
      start = Int(range.dropFirst(6).dropLast()) ?? 0
    }
    let tag = route.entityTag.map { "ETag: \($0)\r\n" } ?? ""
    switch route.conduct {
    case .status(let status):
      return send("HTTP/1.1 \(status) Trouble\r\nContent-Length: 7\r\n\r\ntrouble", to: connection)
    case .redirects(let path):
      return send("HTTP/1.1 302 Found\r\nLocation: \(path)\r\nContent-Length: 5\r\n\r\nmoved", to: connection)
    case .proper, .ignoresRanges, .cuts, .claims, .shiftsRanges: break
    }
    if start > 0, start >= route.body.count {
      return send(
        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */\(route.body.count)\r\nContent-Length: 0\r\n\r\n",
        to: connection)
    }
    let sent = route.conduct == .shiftsRanges && start > 0 ? start - 1 : start
    var body = route.body[sent...]
    var length = body.count
    if case .claims(let claim) = route.conduct { length = claim }
    let status =
      start > 0
      ? "206 Partial Content\r\nContent-Range: bytes \(sent)-\(route.body.count - 1)/\(route.body.count)" : "200 OK"
    if case .cuts(let count, _) = route.conduct { body = body.prefix(count) }
    send("HTTP/1.1 \(status)\r\n\(tag)Content-Length: \(length)\r\nConnection: close\r\n\r\n", to: connection)
    send(Array(body), to: connection)
  }

  private func read(_ connection: Int32) -> Request? {
    var head: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while head.count < 1 << 16, !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return nil }
      head += buffer[..<count]
    }
    let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n").map(String.init)
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2 else { return nil }
    let value = { (name: String) -> String? in
      lines.first { $0.lowercased().hasPrefix(name + ": ") }.map { String($0.dropFirst(name.count + 2)) }
    }
    return Request(path: String(words[1]), range: value("range"), condition: value("if-range"))
  }

  private func send(_ text: String, to connection: Int32) { send(Array(text.utf8), to: connection) }

  private func send(_ bytes: [UInt8], to connection: Int32) {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, 0) }
      guard count > 0 else { return }
      done += count
    }
  }
}
