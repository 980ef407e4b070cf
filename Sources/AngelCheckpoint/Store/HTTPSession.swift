import AngelCore
import CAngelShims

/// One request for a file or a document.
struct HTTPRequest {
  var url: String
  /// Ask for the head alone; a redirect to what the Hub has described (`X-Linked-Etag`) is then not followed.
  var isHeadOnly = false
  /// The bytes wanted, as in a Range header without its unit: `100-` or `100-199`; nil for all.
  var range: String?
  /// Header lines that go to every host on the way.
  var headers: [String] = []
  /// The value of an Authorization header; it goes to the host of `url` alone, never where a redirect leads.
  var authorization: String?
}

/// Makes HTTP requests one after the other and keeps connections open between them. For one thread.
///
/// Redirects are followed here and not by libcurl: at most ten, to http and https alone, never from https back to http,
/// never from a public address into a private network, and without the Authorization header where host or port change.
final class HTTPSession {
  enum Outcome {
    /// The whole answer has arrived, whatever its status.
    case answered(HTTPResponseHead)
    /// The connection failed on the way; another attempt may go on.
    case interrupted(HTTPResponseHead, reason: String)
    /// The host cannot be found or does not answer.
    case unreachable(reason: String)
    /// `isCancelled` said so.
    case cancelled
  }

  /// Who takes what arrives.
  struct Receiver {
    /// Called once for a successful answer, before the first byte of its body; an error ends the transfer.
    var begin: (HTTPResponseHead) throws -> Void
    /// Called with each piece of a successful answer's body; an error ends the transfer.
    var take: (UnsafeRawBufferPointer) throws -> Void
    /// Asked from time to time.
    var isCancelled: () -> Bool = { false }
  }

  static var isAvailable: Bool { angel_curl_available() != 0 }

  /// Whether a numeric address is not for the public: loopback, link-local, private, multicast, reserved.
  static func isPrivate(address: String) -> Bool { angel_curl_is_private(address) != 0 }
  private static let redirectLimit = 10

  let handle: OpaquePointer
  private let interruption: Interruption
  private let patience: Patience

  /// Throws `StoreError.noCurl`.
  init(interruption: Interruption, patience: Patience) throws(StoreError) {
    guard Self.isAvailable, let handle = angel_curl_open() else { throw .noCurl }
    self.handle = handle
    self.interruption = interruption
    self.patience = patience
  }

  deinit { angel_curl_close(handle) }

  /// Makes a request. Throws `StoreError`, `Interrupted`, or what the receiver throws.
  func send(_ request: HTTPRequest, _ receiver: Receiver) throws -> Outcome {
    var hop = request
    var earlier = HTTPResponseHead.HubHeaders()
    var isAtOrigin = true
    var firstIsPublic = false
    for count in 0...Self.redirectLimit {
      let exchange = HTTPExchange(receiver, earlier, isAtOrigin: isAtOrigin, interruption: interruption)
      let result = exchange.run(hop, on: handle, patience, publicOnly: firstIsPublic)
      if let failure = exchange.failure { throw failure }
      try interruption.check()
      let label = ModelPull.withoutCredentials(hop.url)
      switch result.outcome {
      case ANGEL_CURL_OK: break
      case ANGEL_CURL_STOPPED: return .cancelled
      case ANGEL_CURL_INTERRUPTED: return .interrupted(exchange.head, reason: result.message)
      case ANGEL_CURL_UNREACHABLE: return .unreachable(reason: result.message)
      case ANGEL_CURL_PRIVATE:
        throw StoreError.transfer(url: label, reason: "a public server redirects here, into a private network")
      default: throw StoreError.transfer(url: label, reason: result.message)
      }
      let isDescribed = request.isHeadOnly && exchange.head.hub.linkedTag != nil
      guard (300..<400).contains(exchange.head.status), !isDescribed else {
        // A body of no bytes never reached the receiver.
        try exchange.beginIfDue()
        return .answered(exchange.head)
      }
      guard let target = exchange.redirect else {
        throw StoreError.httpStatus(url: label, status: exchange.head.status)
      }
      if count == 0 { firstIsPublic = !result.isPrivate }
      earlier = exchange.head.hub
      try Self.check(redirect: target, from: hop.url)
      if Self.origin(of: target) != Self.origin(of: request.url) {
        // Not even where a later redirect leads back: whoever sent it there is not the host that was asked.
        hop.authorization = nil
        isAtOrigin = false
      }
      hop.url = target
    }
    throw StoreError.transfer(
      url: ModelPull.withoutCredentials(request.url), reason: "it redirects more than \(Self.redirectLimit) times")
  }

  /// Refuses addresses that no redirect may lead to.
  static func check(redirect target: String, from source: String) throws(StoreError) {
    let (scheme, label) = (ModelPull.scheme(of: target), ModelPull.withoutCredentials(source))
    guard scheme == "https" || scheme == "http" else {
      throw .transfer(url: label, reason: "it redirects to an address that is neither http nor https")
    }
    guard scheme == "https" || ModelPull.scheme(of: source) == "http" else {
      throw .transfer(url: label, reason: "it redirects from https to http, where anyone could change the file")
    }
  }

  /// Scheme, host and port of a URL, in lower case and without a user's name.
  static func origin(of url: String) -> String {
    let bare = ModelPull.withoutCredentials(url)
    guard let scheme = ModelPull.scheme(of: bare) else { return bare }
    let authority = bare.dropFirst(scheme.count + 3).prefix { $0 != "/" }.lowercased()
    let port = scheme == "https" ? ":443" : ":80"
    return scheme + "://" + (authority.hasSuffix(port) ? String(authority.dropLast(port.count)) : authority)
  }
}
