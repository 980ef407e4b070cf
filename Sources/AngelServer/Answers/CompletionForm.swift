import AngelCore
import AngelHCF

/// `text_completion`.
struct CompletionForm: ChoiceForm {
  let texts: TokenText
  let reportsLogprobs: Bool

  var idPrefix: String { "cmpl-" }
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

  func opening(_ stream: inout ChoiceStream, index: Int) -> [String] {
    if reportsLogprobs {
      stream.logprobs = CompletionLogprobs(
        texts, offset: stream.promptTokens.isEmpty ? stream.echo.unicodeScalars.count : 0)
    }
    guard !stream.echo.isEmpty else { return [] }
    return [
      entry(index, stream.echo, logprobs: stream.logprobs?.next(stream.promptTokens).encoded() ?? "null")
    ]
  }

  func piece(_ piece: ServingPiece, _ stream: inout ChoiceStream, index: Int) -> [String] {
    guard !piece.text.isEmpty || reportsLogprobs else { return [] }
    return [entry(index, piece.text, logprobs: stream.logprobs?.next(piece.tokens).encoded() ?? "null")]
  }

  func ending(_ reason: FinishReason, _ stream: inout ChoiceStream, index: Int) -> [String] {
    [entry(index, "", reason: reason.json.encoded())]
  }

  private func entry(_ index: Int, _ text: String, logprobs: String = "null", reason: String = "null") -> String {
    "{\"index\":\(index),\"text\":\(JSONValue.string(text).encoded()),\"logprobs\":\(logprobs),\"finish_reason\":\(reason)}"
  }
}
