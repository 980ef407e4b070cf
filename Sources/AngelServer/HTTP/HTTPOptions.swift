/// How an HTTP server listens, and what it puts up with.
public struct HTTPOptions: Sendable {
  /// A numeric address; the default is reachable from this machine alone.
  public var address = "127.0.0.1"
  /// 0 takes any free one.
  public var port = 8000
  /// PEM texts.
  public var certificate: String?
  public var privateKey: String?
  /// The most bytes of a request's body.
  public var bodyLimit = 16 << 20
  /// The most bytes of all bodies that are coming in, or wait to be read, together.
  public var bodiesLimit = 256 << 20
  /// The most bytes of a request's head, and a little more.
  public var headLimit = 64 << 10
  public var connectionLimit = 4096
  /// How long the head of a request may take, which is how long a connection may rest; likewise its body.
  public var headSeconds = 60.0
  public var bodySeconds = 60.0
  /// How long a client may take no byte of an answer that is there.
  public var stallSeconds = 60
  public var threadCount = 2

  /// Whether an address can be reached from this machine alone.
  public static func isLoopback(_ address: String) -> Bool {
    address == "localhost" || address == "::1" || address.hasPrefix("127.")
  }

  public init() {}
}
