import AngelCore
import AngelHCF

/// `chat.completion`: the assistant's turn, its thoughts and tool calls apart from its text.
struct ChatForm: ChoiceForm {
  let texts: TokenText
  let reportsLogprobs: Bool
  var reading = ChatReading()

  var idPrefix: String { "chatcmpl-" }
  var wholeKind: String { "chat.completion" }
  var pieceKind: String { "chat.completion.chunk" }

  // MARK: Whole answers

  func choice(_ answer: CollectedAnswer, index: Int) -> JSONValue {
    let turn = ChatTurn(reading, of: answer)
    return [
      "index": .integer(index), "message": message(turn),
      "logprobs": reportsLogprobs ? ChatLogprobs.json(answer.tokens, texts) : nil,
      "finish_reason": Self.reason(answer.reason, calls: turn.callCount),
    ]
  }

  private func message(_ turn: ChatTurn) -> JSONValue {
    let calls = turn.blocks.compactMap { block -> JSONValue? in
      guard case .call(let id, let name) = block.kind else { return nil }
      return [
        "id": .string(id), "type": "function",
        "function": ["name": .string(name), "arguments": .string(block.text)],
      ]
    }
    let text = turn.text(of: .text).map { JSONValue.string($0) } ?? (calls.isEmpty ? "" : .null)
    var object = JSONObject([("role", "assistant"), ("content", text), ("refusal", .null)])
    if let reasoning = turn.text(of: .reasoning) { object["reasoning_content"] = .string(reasoning) }
    if !calls.isEmpty { object["tool_calls"] = .array(calls) }
    return .object(object)
  }

  private static func reason(_ reason: FinishReason, calls: Int) -> JSONValue {
    reason == .stop && calls > 0 ? "tool_calls" : reason.json
  }

  // MARK: Streams

  func opening(_ stream: inout ChoiceStream, index: Int) -> [String] {
    stream.turn = ChatTurn(reading)
    return [entry(index, #"{"role":"assistant","content":""}"#)]
  }

  func piece(_ piece: ServingPiece, _ stream: inout ChoiceStream, index: Int) -> [String] {
    let events = stream.turn?.take(ServingPiece(answer: piece.answer, text: piece.text, tokens: [])) ?? []
    var deltas = events.compactMap { delta(of: $0, stream) }
    // Text may be held back; log-probabilities are not.
    if deltas.isEmpty, reportsLogprobs { deltas = [["content": ""]] }
    return entries(index, deltas, piece.tokens)
  }

  func ending(_ reason: FinishReason, _ stream: inout ChoiceStream, index: Int) -> [String] {
    let events = stream.turn?.finish() ?? []
    let rest = events.compactMap { delta(of: $0, stream) }.map { entry(index, $0.encoded()) }
    return rest + [entry(index, "{}", reason: Self.reason(reason, calls: stream.turn?.callCount ?? 0).encoded())]
  }

  private func delta(of event: ChatTurn.Event, _ stream: ChoiceStream) -> JSONValue? {
    guard let turn = stream.turn else { return nil }
    switch event {
    case .begin(let index):
      guard case .call(let id, let name) = turn.blocks[index].kind else { return nil }
      return [
        "tool_calls": [
          [
            "index": .integer(turn.blocks[index].callNumber), "id": .string(id), "type": "function",
            "function": ["name": .string(name), "arguments": ""],
          ]
        ]
      ]
    case .more(let index, let text):
      let block = turn.blocks[index]
      switch block.kind {
      case .text: return ["content": .string(text)]
      case .reasoning: return ["reasoning_content": .string(text)]
      case .call:
        return ["tool_calls": [["index": .integer(block.callNumber), "function": ["arguments": .string(text)]]]]
      }
    case .end: return nil
    }
  }

  /// The first entry has the log-probabilities of all tokens of the piece.
  private func entries(_ index: Int, _ deltas: [JSONValue], _ tokens: [SampledToken]) -> [String] {
    deltas.enumerated().map { position, delta in
      let reports = reportsLogprobs && position == 0
      return entry(index, delta.encoded(), logprobs: reports ? ChatLogprobs.json(tokens, texts).encoded() : "null")
    }
  }

  private func entry(_ index: Int, _ delta: String, logprobs: String = "null", reason: String = "null") -> String {
    "{\"index\":\(index),\"delta\":\(delta),\"logprobs\":\(logprobs),\"finish_reason\":\(reason)}"
  }
}
