import AngelCore
import AngelHCF

/// How the answers to a request look: one form for each kind of answer that some interface knows.
protocol AnswerForm: Sendable {
  /// Whether whole answers are wanted piece by piece, so that texts stay beside their tokens.
  var keepsPieces: Bool { get }
  /// The content type of a stream.
  var streamType: String { get }

  /// The whole of the answers.
  func whole(_ answers: [CollectedAnswer], _ usage: ServingUsage) -> JSONValue
  /// What writes the answers as a stream.
  func makeStream() -> any AnswerStream
}

extension AnswerForm {
  var keepsPieces: Bool { false }
  var streamType: String { "text/event-stream; charset=utf-8" }
}

/// Writes the answers to a request as a stream, event by event.
protocol AnswerStream: Sendable {
  /// What stands before all events.
  mutating func begin(to text: inout String)
  mutating func write(_ event: AnswerEvent, to text: inout String)
  /// Everything has come.
  mutating func end(_ usage: ServingUsage, to text: inout String)
  /// Nothing more will come.
  mutating func fail(_ error: APIError, to text: inout String)
}

/// What comes of the answers to a request, each of which has a number.
enum AnswerEvent: Sendable {
  case prompt(answer: Int, [SampledToken])
  case piece(ServingPiece)
  case finished(answer: Int, FinishReason, stopText: String?)
}

/// An answer that is put together.
struct CollectedAnswer: Sendable {
  /// One that holds everything, unless the form keeps them apart.
  private(set) var pieces: [ServingPiece] = []
  /// The prompt's own, where it is echoed with log-probabilities.
  var promptTokens: [SampledToken] = []
  /// The prompt's text, where it is echoed.
  var echo = ""
  var reason = FinishReason.length
  /// The stop text that ended it.
  var stopText: String?

  var text: String { pieces.count == 1 ? pieces[0].text : pieces.map(\.text).joined() }
  var tokens: [SampledToken] { pieces.flatMap(\.tokens) }

  /// Adds a piece.
  ///
  /// - Parameters:
  ///   - isApart: whether it stays a piece of its own.
  ///   - keepsTokens: whether its tokens are wanted.
  mutating func add(_ piece: ServingPiece, isApart: Bool, keepsTokens: Bool) {
    if isApart || pieces.isEmpty {
      pieces.append(ServingPiece(answer: piece.answer, text: piece.text, tokens: keepsTokens ? piece.tokens : []))
    } else {
      pieces[pieces.count - 1].text += piece.text
      if keepsTokens { pieces[pieces.count - 1].tokens += piece.tokens }
    }
  }
}

/// What an answer says of itself before anything else.
struct AnswerHead: Sendable {
  let requestID: String
  /// The request's name, without what says that it is one.
  let id: String
  /// Seconds since 1970.
  let created: Int
  let model: String
  let fingerprint: String

  init(_ call: APICall, model: String) {
    requestID = call.requestID
    id = call.requestID.hasPrefix("req-") ? String(call.requestID.dropFirst(4)) : call.requestID
    created = APIServer.unixTime
    self.model = model
    fingerprint = "angel-" + call.server.options.version
  }
}

/// Server-sent events.
enum EventText {
  /// An event that has a name, as Anthropic's interface and OpenAI's responses have them.
  static func named(_ name: String, _ json: JSONValue) -> String { "event: \(name)\ndata: \(json.encoded())\n\n" }
}
