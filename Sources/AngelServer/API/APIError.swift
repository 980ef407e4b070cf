public import AngelCore

/// Why a request is not answered with what it asked for, in the words of OpenAI's interface.
public struct APIError: DescribedError, Equatable {
  public var status: Int
  /// `invalid_request_error`, `rate_limit_exceeded`, `server_error`, …
  public var type: String
  public var message: String
  /// The field that is wrong, such as `messages[2].role`.
  public var parameter: String?
  /// What a program can tell the error by.
  public var code: String?
  /// For how many seconds not to try again.
  public var retryAfter: Int?

  public var description: String { message }

  init(
    status: Int, type: String = "invalid_request_error", _ message: String, parameter: String? = nil,
    code: String? = nil,
    retryAfter: Int? = nil
  ) {
    self.status = status
    self.type = type
    self.message = message
    self.parameter = parameter
    self.code = code
    self.retryAfter = retryAfter
  }

  /// The field has a value that cannot be.
  static func invalid(_ parameter: String, _ reason: String, code: String = "invalid_value") -> APIError {
    APIError(status: 400, "'\(parameter)' \(reason)", parameter: parameter, code: code)
  }

  /// The field has to be there.
  static func missing(_ parameter: String, kind: FieldKind) -> APIError {
    APIError(
      status: 400, "'\(parameter)' is missing: it must be \(kind.words)", parameter: parameter,
      code: "missing_required_parameter")
  }

  /// The body cannot be read at all.
  static func badBody(_ reason: String) -> APIError {
    APIError(status: 400, "the request's body cannot be read: \(reason)", code: "invalid_body")
  }

  /// The last turn is the assistant's: a template would close it, and what closes it cannot be cut off again.
  static func beginningGiven(_ parameter: String) -> APIError {
    .invalid(
      parameter, "is 'assistant': an answer whose beginning is given is not supported", code: "unsupported_parameter")
  }

  static func contextExceeded(_ parameter: String, tokens: Int, answer: Int, limit: Int) -> APIError {
    let asked = answer > 0 ? " and \(answer) are asked for as an answer" : ""
    return APIError(
      status: 400,
      "this model's context length is \(limit) tokens; '\(parameter)' has \(tokens)\(asked): shorten one of them",
      parameter: parameter, code: "context_length_exceeded")
  }

  static func server(_ reason: String) -> APIError {
    APIError(status: 500, type: "server_error", reason, code: "internal_error")
  }

  static let keyLost = APIError(
    status: 401, "the API key has been revoked, or its rights changed", code: "invalid_api_key")
  static let draining = APIError(
    status: 503, type: "server_error", "the server is shutting down: try another one", code: "shutting_down",
    retryAfter: 5)

  /// `{"error":{…}}`, as OpenAI's interface has it.
  var json: JSONValue {
    [
      "error": [
        "message": .string(message), "type": .string(type), "param": parameter.map(JSONValue.string) ?? nil,
        "code": code.map(JSONValue.string) ?? nil,
      ]
    ]
  }
}
