import AngelCore
import AngelHCF

/// How answers look in JSON: a chat's or a plain completion's.
protocol AnswerForm: Sendable {
  /// `object` of a whole answer and of a piece.
  var wholeKind: String { get }
  var pieceKind: String { get }

  /// A whole answer as an entry of `choices`.
  func choice(_ answer: CollectedAnswer, index: Int) -> JSONValue
  /// What comes before an answer's first piece; empty for nothing. JSON texts of entries of `choices`.
  func opening(_ stream: inout AnswerStream, index: Int) -> [String]
  /// What a piece adds; empty for nothing.
  func piece(_ piece: ServingPiece, _ stream: inout AnswerStream, index: Int) -> [String]
  func ending(_ reason: FinishReason, _ stream: inout AnswerStream, index: Int) -> [String]
}

/// An answer that is put together.
struct CollectedAnswer: Sendable {
  var text = ""
  var tokens: [SampledToken] = []
  /// The prompt's own, where it is echoed with log-probabilities.
  var promptTokens: [SampledToken] = []
  /// The prompt's text, where it is echoed.
  var echo = ""
  var reason = FinishReason.length
}

/// What a stream remembers of an answer between its pieces.
struct AnswerStream: Sendable {
  var hasBegun = false
  var echo = ""
  var promptTokens: [SampledToken] = []
  /// Goes on counting text offsets.
  var logprobs: CompletionLogprobs?
  /// Tells the parts of a chat's answer apart; nil: it is text.
  var reader: ChatReader?
  /// Tools called so far.
  var callCount = 0
}

extension FinishReason {
  /// As the interface has it; an answer that was broken off counts as cut.
  var json: JSONValue { .string(self == .stop ? "stop" : "length") }
}

/// `text_completion`.
struct CompletionForm: AnswerForm {
  let texts: TokenText
  let reportsLogprobs: Bool

  var wholeKind: String { "text_completion" }
  var pieceKind: String { "text_completion" }

  func choice(_ answer: CollectedAnswer, index: Int) -> JSONValue {
    var logprobs = CompletionLogprobs(texts, offset: answer.promptTokens.isEmpty ? answer.echo.unicodeScalars.count : 0)
    return [
      "index": .integer(index), "text": .string(answer.echo + answer.text),
      "logprobs": reportsLogprobs ? logprobs.next(answer.promptTokens + answer.tokens) : nil,
      "finish_reason": answer.reason.json,
    ]
  }

  func opening(_ stream: inout AnswerStream, index: Int) -> [String] {
    if reportsLogprobs {
      stream.logprobs = CompletionLogprobs(
        texts, offset: stream.promptTokens.isEmpty ? stream.echo.unicodeScalars.count : 0)
    }
    guard !stream.echo.isEmpty else { return [] }
    return [
      entry(index, stream.echo, logprobs: stream.logprobs?.next(stream.promptTokens).encoded() ?? "null")
    ]
  }

  func piece(_ piece: ServingPiece, _ stream: inout AnswerStream, index: Int) -> [String] {
    guard !piece.text.isEmpty || reportsLogprobs else { return [] }
    return [entry(index, piece.text, logprobs: stream.logprobs?.next(piece.tokens).encoded() ?? "null")]
  }

  func ending(_ reason: FinishReason, _ stream: inout AnswerStream, index: Int) -> [String] {
    [entry(index, "", reason: reason.json.encoded())]
  }

  private func entry(_ index: Int, _ text: String, logprobs: String = "null", reason: String = "null") -> String {
    "{\"index\":\(index),\"text\":\(JSONValue.string(text).encoded()),\"logprobs\":\(logprobs),\"finish_reason\":\(reason)}"
  }
}
