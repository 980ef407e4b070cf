import Glibc

/// A plain HTTP/1.1 connection that blocks: what `angel bench serve` measures with, and what tests ask with.
public final class HTTPClient {
  /// Where a server is.
  public struct Place: Sendable, Equatable {
    public var host: String
    public var port: Int
    /// What comes before an endpoint's path, such as `/proxy`; empty for nothing.
    public var base: String

    public init(host: String, port: Int, base: String = "") {
      self.host = host
      self.port = port
      self.base = base
    }

    /// Reads `http://host:port/base`; nil for what it cannot be.
    public init?(url: String) {
      guard url.hasPrefix("http://") else { return nil }
      let rest = url.dropFirst("http://".count)
      let authority = rest.prefix { $0 != "/" }
      var base = String(rest.dropFirst(authority.count))
      while base.hasSuffix("/") { base.removeLast() }
      let bracket = authority.hasPrefix("[") ? authority.firstIndex(of: "]") : nil
      let colon = authority[(bracket ?? authority.startIndex)...].firstIndex(of: ":").map { authority.index(after: $0) }
      let host = colon.map { authority[..<authority.index(before: $0)] } ?? authority
      guard let port = colon.map({ Int(authority[$0...]) }) ?? 80, (1...65535).contains(port), !host.isEmpty else {
        return nil
      }
      self.init(host: String(host.filter { $0 != "[" && $0 != "]" }), port: port, base: base)
    }
  }

  /// An answer as it came in.
  public struct Response: Sendable {
    public var status: Int
    /// Names in lower case, in order.
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]

    /// A header's first value.
    public subscript(name: String) -> String? { headers.first { $0.name == name }?.value }
    public var text: String { String(decoding: body, as: UTF8.self) }
  }

  private let place: Place
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var position = 0

  /// Connects.
  ///
  /// - Parameter seconds: how long any single step may take.
  public init(_ place: Place, seconds: Int = 600) throws(HTTPClientError) {
    self.place = place
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(place.host, "\(place.port)", &hints, &list) == 0, let first = list else {
      throw .unreachable(place.host, place.port, reason: "the name has no address")
    }
    defer { freeaddrinfo(list) }
    var entry: UnsafeMutablePointer<addrinfo>? = first
    var reason = ""
    while let info = entry?.pointee {
      let made = socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), info.ai_protocol)
      if made >= 0 { Self.setUp(made, seconds: seconds) }
      if made >= 0, connect(made, info.ai_addr, info.ai_addrlen) == 0 {
        descriptor = made
        return
      }
      reason = String(cString: strerror(errno))
      if made >= 0 { close(made) }
      entry = info.ai_next
    }
    throw .unreachable(place.host, place.port, reason: reason)
  }

  deinit { close(descriptor) }

  private static func setUp(_ descriptor: Int32, seconds: Int) {
    var time = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    var yes: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Sends a request; answers are read with `response` or `head` and `piece`.
  public func send(
    _ method: String, _ path: String, headers: [(name: String, value: String)] = [], body: [UInt8] = []
  ) throws(HTTPClientError) {
    let host = place.host.contains(":") ? "[\(place.host)]" : place.host
    var text = "\(method) \(place.base)\(path) HTTP/1.1\r\nHost: \(host):\(place.port)\r\n"
    for header in headers { text += "\(header.name): \(header.value)\r\n" }
    if method != "GET" || !body.isEmpty { text += "Content-Length: \(body.count)\r\n" }
    try send(Array((text + "\r\n").utf8) + body)
  }

  /// Sends bytes as they are.
  public func send(_ bytes: [UInt8]) throws(HTTPClientError) {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .broken(String(cString: strerror(errno))) }
      done += count
    }
  }

  /// Reads a whole answer.
  public func response(toHead: Bool = false) throws(HTTPClientError) -> Response {
    var response = try head()
    guard !toHead, response.status != 204 else { return response }
    var body = BodyReader(response)
    while let piece = try self.piece(&body) { response.body += piece }
    return response
  }

  /// Reads an answer's head; its body is read with `piece`.
  public func head() throws(HTTPClientError) -> Response {
    while true {
      let status = try line().split(separator: " ", maxSplits: 2)
      guard status.count >= 2, status[0].hasPrefix("HTTP/1."), let code = Int(status[1]) else {
        throw .notHTTP
      }
      var response = Response(status: code, headers: [], body: [])
      while case let text = try line(), !text.isEmpty {
        guard let colon = text.firstIndex(of: ":") else { throw .notHTTP }
        let value = text[text.index(after: colon)...].drop { $0 == " " }
        response.headers.append((text[..<colon].lowercased(), String(value)))
      }
      if code != 100 { return response }
    }
  }

  /// Where a body's reading stands.
  public struct BodyReader: Sendable {
    enum Mode: Sendable { case chunks, length(Int), untilEnd, ended }
    var mode: Mode

    public init(_ head: Response) {
      if head["transfer-encoding"]?.lowercased() == "chunked" {
        mode = .chunks
      } else if let length = head["content-length"].flatMap({ Int($0) }) {
        mode = .length(length)
      } else {
        mode = .untilEnd
      }
    }
  }

  /// What comes next of a body, nil at its end.
  public func piece(_ body: inout BodyReader) throws(HTTPClientError) -> [UInt8]? {
    switch body.mode {
    case .ended: return nil
    case .length(let left):
      guard left > 0 else {
        body.mode = .ended
        return nil
      }
      if position == buffer.count { guard try fill() else { throw .broken("the answer was cut off") } }
      let piece = take(min(left, buffer.count - position))
      body.mode = .length(left - piece.count)
      return piece
    case .untilEnd:
      if position == buffer.count {
        guard try fill() else {
          body.mode = .ended
          return nil
        }
      }
      return take(buffer.count - position)
    case .chunks:
      guard let count = Int(try line().prefix { $0 != ";" }, radix: 16), (0...1 << 28).contains(count) else {
        throw .notHTTP
      }
      guard count > 0 else {
        while !(try line()).isEmpty {}
        body.mode = .ended
        return nil
      }
      while buffer.count - position < count + 2 { guard try fill() else { throw .broken("the answer was cut off") } }
      defer { position += 2 }
      return take(count)
    }
  }

  private func take(_ count: Int) -> [UInt8] {
    defer { position += count }
    return Array(buffer[position..<(position + count)])
  }

  private func line() throws(HTTPClientError) -> String {
    while true {
      if let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { position = end + 1 }
        let bytes = buffer[position..<end]
        return String(decoding: bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes, as: UTF8.self)
      }
      guard buffer.count - position < 1 << 20 else { throw .notHTTP }
      guard try fill() else { throw .broken("the connection was closed") }
    }
  }

  /// Reads what there is, waiting for something; false at the end.
  private func fill() throws(HTTPClientError) -> Bool {
    if position > 1 << 16 {
      buffer.removeFirst(position)
      position = 0
    }
    var chunk = [UInt8](repeating: 0, count: 1 << 14)
    while true {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw errno == EAGAIN ? .broken("nothing came for too long") : .broken(String(cString: strerror(errno)))
      }
      buffer += chunk[..<count]
      return count > 0
    }
  }
}
