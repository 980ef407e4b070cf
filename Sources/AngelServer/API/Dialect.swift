import AngelCore

/// Whose interface a path belongs to: its clients expect errors of a form of their own.
enum Dialect: CaseIterable, Sendable {
  case openAI, anthropic, ollama

  init(path: String) {
    func isBelow(_ base: String) -> Bool { path == base || path.hasPrefix(base + "/") }
    self = isBelow("/v1/messages") ? .anthropic : isBelow("/api") ? .ollama : .openAI
  }

  /// The headers that name a request; Anthropic's clients look for one of their own.
  func nameHeaders(_ requestID: String) -> [(name: String, value: String)] {
    [("x-request-id", requestID)] + (self == .anthropic ? [("request-id", requestID)] : [])
  }

  /// An error as a whole answer.
  func response(_ error: APIError, requestID: String) -> HTTPResponse {
    var response = HTTPResponse(
      status: error.status, type: "application/json", json(error, requestID: requestID).encoded())
    if let retryAfter = error.retryAfter { response.headers.append(("retry-after", "\(retryAfter)")) }
    return response
  }

  func json(_ error: APIError, requestID: String) -> JSONValue {
    switch self {
    case .openAI: error.json
    case .anthropic:
      [
        "type": "error",
        "error": ["type": .string(Self.anthropicType(error.status)), "message": .string(error.message)],
        "request_id": .string(requestID),
      ]
    case .ollama: ["error": .string(error.message)]
    }
  }

  /// The name that Anthropic's interface has for what a status says.
  private static func anthropicType(_ status: Int) -> String {
    switch status {
    case 401: "authentication_error"
    case 403: "permission_error"
    case 404: "not_found_error"
    case 413: "request_too_large"
    case 429: "rate_limit_error"
    case 503: "overloaded_error"
    case 500...: "api_error"
    default: "invalid_request_error"
    }
  }
}
