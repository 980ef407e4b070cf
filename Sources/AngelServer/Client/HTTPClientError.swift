public import AngelCore

/// Why a client got no answer.
public enum HTTPClientError: DescribedError, Equatable {
  case unreachable(String, Int, reason: String)
  case broken(String)
  case notHTTP

  public var description: String {
    switch self {
    case .unreachable(let host, let port, let reason): "no server at \(host), port \(port): \(reason)"
    case .broken(let reason): "the connection broke: \(reason)"
    case .notHTTP: "the answer is not HTTP/1.1"
    }
  }
}
