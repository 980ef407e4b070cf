import AngelCore

/// One of the server's endpoints. To add one, write a file beside this one and a line in the catalog.
protocol Endpoint: SendableMetatype {
  static var method: HTTPMethod { get }
  /// Its path; a last component in braces stands for the rest of a request's path.
  static var path: String { get }
  /// One line for the description.
  static var summary: String { get }
  /// Whether it is answered without a key.
  static var isOpen: Bool { get }
  /// The fields of its body; of a GET request none.
  static var fields: [RequestField] { get }
  /// The type of its answer.
  static var answerType: String { get }
  /// The type of its answer as a stream; nil: it has none.
  static var streamType: String? { get }

  /// Answers now or later, through `call`. GET requests are answered on the thread that received them, others on a worker.
  static func respond(_ call: APICall) throws
}

extension Endpoint {
  static var method: HTTPMethod { .post }
  static var isOpen: Bool { false }
  static var fields: [RequestField] { [] }
  static var answerType: String { "application/json" }
  static var streamType: String? { nil }
}

/// The methods that endpoints have.
enum HTTPMethod: String, Sendable {
  case get = "GET"
  case post = "POST"
}
