import AngelCore
import AngelHCF

/// Ollama's answers: one object, or a line of JSON for each piece and one with the figures at the end.
struct OllamaForm: AnswerForm {
  /// Where an answer stands.
  enum Place: Sendable {
    /// `message`, a turn.
    case message
    /// `response`, a text.
    case response
  }

  let place: Place
  /// The name that was asked for.
  let model: String
  let reading: ChatReading
  let texts: TokenText
  let reportsLogprobs: Bool
  /// Seconds until the model was there.
  let loadSeconds: Double

  var streamType: String { "application/x-ndjson" }

  func whole(_ answers: [CollectedAnswer], _ usage: ServingUsage) -> JSONValue {
    guard let answer = answers.first else { return nil }
    let turn = ChatTurn(reading, of: answer)
    var object = start(
      text: turn.text(of: .text) ?? "", thoughts: turn.text(of: .reasoning),
      calls: turn.blocks.indices.compactMap { call(turn, $0) })
    if reportsLogprobs { object["logprobs"] = logprobs(answer.tokens) }
    return .object(ended(object, answer.reason, usage))
  }

  func makeStream() -> any AnswerStream { OllamaStream(self) }

  /// The answer to a question without words, which was asked for that reason.
  static func without(words reason: String, _ place: Place, model: String) -> JSONValue {
    var object = start(place, model: model, text: "", thoughts: nil, calls: [])
    object["done"] = true
    object["done_reason"] = .string(reason)
    return .object(object)
  }

  fileprivate func start(text: String, thoughts: String? = nil, calls: [JSONValue] = []) -> JSONObject {
    Self.start(place, model: model, text: text, thoughts: thoughts, calls: calls)
  }

  private static func start(
    _ place: Place, model: String, text: String, thoughts: String?, calls: [JSONValue]
  ) -> JSONObject {
    var object = JSONObject([("model", .string(model)), ("created_at", .string(Timestamp.now()))])
    switch place {
    case .message:
      var message = JSONObject([("role", "assistant"), ("content", .string(text))])
      if let thoughts { message["thinking"] = .string(thoughts) }
      if !calls.isEmpty { message["tool_calls"] = .array(calls) }
      object["message"] = .object(message)
    case .response:
      object["response"] = .string(text)
      if let thoughts { object["thinking"] = .string(thoughts) }
    }
    return object
  }

  /// A call of a turn; nil where the block is none, or was cut in the middle of its arguments.
  fileprivate func call(_ turn: ChatTurn, _ index: Int) -> JSONValue? {
    let block = turn.blocks[index]
    guard case .call(let id, let name) = block.kind, let arguments = block.arguments else { return nil }
    return [
      "id": .string(id),
      "function": [
        "index": .integer(block.callNumber), "name": .string(name), "arguments": .object(arguments),
      ],
    ]
  }

  fileprivate func logprobs(_ tokens: [SampledToken]) -> JSONValue { .array(ChatLogprobs.entries(tokens, texts)) }

  /// The last object of an answer, with the figures: times in nanoseconds.
  fileprivate func ended(_ object: JSONObject, _ reason: FinishReason, _ usage: ServingUsage) -> JSONObject {
    func nanoseconds(_ seconds: Double) -> JSONValue { .integer(Int((max(0, min(seconds, 1e9)) * 1e9).rounded())) }
    var object = object
    object["done"] = true
    object["done_reason"] = reason.json
    object["total_duration"] = nanoseconds(loadSeconds + usage.seconds)
    object["load_duration"] = nanoseconds(loadSeconds)
    object["prompt_eval_count"] = .integer(usage.promptTokens)
    object["prompt_eval_duration"] = nanoseconds(usage.secondsToFirstToken - usage.secondsQueued)
    object["eval_count"] = .integer(usage.completionTokens)
    object["eval_duration"] = nanoseconds(usage.seconds - usage.secondsToFirstToken)
    return object
  }
}

/// The lines of Ollama's streams.
private struct OllamaStream: AnswerStream {
  private let form: OllamaForm
  private var turn: ChatTurn
  private var reason = FinishReason.length

  init(_ form: OllamaForm) {
    self.form = form
    turn = ChatTurn(form.reading)
  }

  func begin(to text: inout String) {}

  mutating func write(_ event: AnswerEvent, to text: inout String) {
    switch event {
    case .prompt: break
    case .piece(let piece):
      var objects = turn.take(piece).compactMap { object(of: $0) }
      if form.reportsLogprobs {
        // Text may be held back; log-probabilities are not.
        if objects.isEmpty { objects = [form.start(text: "")] }
        objects[0]["logprobs"] = form.logprobs(piece.tokens)
      }
      write(objects, to: &text)
    case .finished(_, let reason, _):
      self.reason = reason
      write(turn.finish().compactMap { object(of: $0) }, to: &text)
    }
  }

  private func write(_ objects: [JSONObject], to text: inout String) {
    for var object in objects {
      object["done"] = false
      text += JSONValue.object(object).encoded() + "\n"
    }
  }

  /// A call is told once it is whole.
  private func object(of event: ChatTurn.Event) -> JSONObject? {
    switch event {
    case .begin: return nil
    case .more(let index, let piece):
      switch turn.blocks[index].kind {
      case .text: return form.start(text: piece)
      case .reasoning: return form.start(text: "", thoughts: piece)
      case .call: return nil
      }
    case .end(let index): return form.call(turn, index).map { form.start(text: "", calls: [$0]) }
    }
  }

  func end(_ usage: ServingUsage, to text: inout String) {
    text += JSONValue.object(form.ended(form.start(text: ""), reason, usage)).encoded() + "\n"
  }

  func fail(_ error: APIError, to text: inout String) {
    text += Dialect.ollama.json(error, requestID: "").encoded() + "\n"
  }
}
