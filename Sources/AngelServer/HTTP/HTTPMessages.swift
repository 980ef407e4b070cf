/// A request's head as it came in.
public struct HTTPRequestHead: Sendable {
  public var method: String
  /// Without the query, percent-decoded.
  public var path: String
  /// Those headers that the server looks at, by name in lower case.
  public var headers: [String: String] = [:]
  /// The numeric address of the other end; empty where the system does not tell.
  public var clientAddress = ""

  public init(method: String, path: String) {
    self.method = method
    self.path = path
  }

  /// The headers that are kept of a request.
  static let keptHeaders = [
    "access-control-request-headers", "authorization", "content-type", "host", "origin", "x-api-key", "x-request-id",
  ]
}

/// An answer: a head, and a body that is there or comes piece by piece.
public struct HTTPResponse: Sendable {
  /// What follows the head.
  public enum Body: Sendable {
    case bytes([UInt8])
    case stream(any ResponseSource)
  }

  public var status: Int
  public var headers: [(name: String, value: String)]
  public var body: Body

  public init(status: Int, headers: [(name: String, value: String)] = [], body: Body) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// A whole text.
  public init(status: Int, type: String, _ text: String) {
    self.init(status: status, headers: [("content-type", type)], body: .bytes(Array(text.utf8)))
  }
}

/// Where a streamed body comes from. Whoever has more wakes the exchange (`HTTPExchange.wake`).
public protocol ResponseSource: AnyObject, Sendable {
  /// What there is now; called on one of the server's threads, never by two at a time.
  func next() -> ResponsePiece
}

/// A piece of a streamed body.
public enum ResponsePiece: Sendable {
  /// At least one byte.
  case bytes([UInt8])
  case nothingYet
  case end
}
