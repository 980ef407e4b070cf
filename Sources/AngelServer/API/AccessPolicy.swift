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
      ("access-control-expose-headers", "x-request-id, retry-after, warning"),
    ]
  }

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
      ("access-control-allow-headers", "authorization, content-type, x-request-id, x-api-key, anthropic-version"),
      ("access-control-max-age", "600"),
    ]
    return response
  }
}
