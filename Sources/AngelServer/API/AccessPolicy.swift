/// From where browsers may ask: the origins of pages, and the names this server is known by.
struct AccessPolicy: Sendable {
  /// Origins that may read answers (CORS); `*` allows every one.
  let origins: [String]
  /// Names that a request's `Host` may have; nil takes any.
  ///
  /// A server on the loopback address without keys would otherwise answer any web page whose name is made to point to this
  /// machine (DNS rebinding).
  let hosts: [String]?

  init(origins: [String], address: String, hasKeys: Bool, names: [String]) {
    self.origins = origins
    hosts = HTTPOptions.isLoopback(address) && !hasKeys ? ["localhost", "127.0.0.1", "[::1]", address] + names : nil
  }

  func check(_ head: HTTPRequestHead) throws(APIError) {
    guard let hosts, let given = head.headers["host"] else { return }
    let name = Self.withoutPort(given.lowercased())
    guard !hosts.contains(name) else { return }
    throw APIError(
      status: 403,
      "host '\(given.prefix(80))' is not known here: start the server with --host-name for it, or with --keys",
      code: "unknown_host")
  }

  private static func withoutPort(_ host: String) -> String {
    if host.hasPrefix("["), let end = host.firstIndex(of: "]") { return String(host[...end]) }
    return String(host.prefix { $0 != ":" })
  }

  /// The headers that let a page of an allowed origin read the answer.
  func headers(for head: HTTPRequestHead) -> [(name: String, value: String)] {
    guard let origin = head.headers["origin"], let allowed = allowed(origin) else { return [] }
    return [
      ("access-control-allow-origin", allowed), ("vary", "origin"),
      ("access-control-expose-headers", Self.exposed),
    ]
  }

  /// What pages may read of answers, beside what they always may.
  private static let exposed =
    (["x-request-id", "request-id", "retry-after", "warning"]
    + ["requests", "tokens"].flatMap { what in
      ["limit", "remaining", "reset"].map { "x-ratelimit-\($0)-\(what)" }
    }).joined(separator: ", ")

  private func allowed(_ origin: String) -> String? {
    origins.contains("*") ? "*" : origins.contains(origin) ? origin : nil
  }

  /// The answer to a browser's question whether it may ask.
  func preflight(_ head: HTTPRequestHead, methods: [String]) -> HTTPResponse {
    var response = HTTPResponse(status: 204, body: .bytes([]))
    response.headers = headers(for: head)
    guard !response.headers.isEmpty else { return response }
    response.headers += [
      ("access-control-allow-methods", methods.joined(separator: ", ")),
      ("access-control-allow-headers", Self.askedHeaders(head) ?? Self.usualHeaders),
      ("access-control-max-age", "600"),
    ]
    return response
  }

  private static let usualHeaders = "authorization, content-type, x-request-id, x-api-key, anthropic-version"

  /// The headers that a page wants to send: clients have their own, which no list keeps up with, and the server reads no
  /// more of them than it knows. Nil: it names none, or what is no name.
  private static func askedHeaders(_ head: HTTPRequestHead) -> String? {
    guard let asked = head.headers["access-control-request-headers"], !asked.isEmpty, asked.utf8.count <= 4096,
      asked.utf8.allSatisfy({ $0 == 0x20 || isInList($0) })
    else { return nil }
    return asked
  }

  private static func isInList(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ","): true
    default: false
    }
  }
}
