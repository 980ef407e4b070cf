import AngelCore
import AngelHCF

/// `chat.completion`: the assistant's turn, its thoughts and tool calls apart from its text.
struct ChatForm: AnswerForm {
  let texts: TokenText
  let reportsLogprobs: Bool
  var reading = ChatReading()

  var wholeKind: String { "chat.completion" }
  var pieceKind: String { "chat.completion.chunk" }

  // MARK: Whole answers

  func choice(_ answer: CollectedAnswer, index: Int) -> JSONValue {
    var turn = Turn()
    if var reader = reading.makeReader() {
      for part in reader.append(answer.text) + reader.finish() { turn.add(part) }
    } else {
      turn.add(.content(answer.text))
    }
    return [
      "index": .integer(index), "message": turn.json,
      "logprobs": reportsLogprobs ? ChatLogprobs.json(answer.tokens, texts) : nil,
      "finish_reason": Self.reason(answer.reason, calls: turn.calls.count),
    ]
  }

  /// An assistant's turn, put together of its parts.
  private struct Turn {
    private var content: String?
    private var reasoning: String?
    private(set) var calls: [(id: String, name: String, arguments: [UInt8])] = []

    mutating func add(_ part: ChatPart) {
      switch part {
      case .content(let text): content = (content ?? "") + text
      case .reasoning(let text): reasoning = (reasoning ?? "") + text
      case .call(let name): calls.append((ToolCallID.make(), name, []))
      case .arguments(let bytes): if !calls.isEmpty { calls[calls.count - 1].arguments += bytes }
      }
    }

    var json: JSONValue {
      let text = content.map { JSONValue.string($0) } ?? (calls.isEmpty ? "" : .null)
      var object = JSONObject([("role", "assistant"), ("content", text), ("refusal", .null)])
      if let reasoning { object["reasoning_content"] = .string(reasoning) }
      if !calls.isEmpty {
        object["tool_calls"] = .array(
          calls.map { call in
            [
              "id": .string(call.id), "type": "function",
              "function": [
                "name": .string(call.name), "arguments": .string(String(decoding: call.arguments, as: UTF8.self)),
              ],
            ]
          })
      }
      return .object(object)
    }
  }

  private static func reason(_ reason: FinishReason, calls: Int) -> JSONValue {
    reason == .stop && calls > 0 ? "tool_calls" : reason.json
  }

  // MARK: Streams

  func opening(_ stream: inout AnswerStream, index: Int) -> [String] {
    stream.reader = reading.makeReader()
    return [entry(index, #"{"role":"assistant","content":""}"#)]
  }

  func piece(_ piece: ServingPiece, _ stream: inout AnswerStream, index: Int) -> [String] {
    var deltas: [JSONValue] = []
    if var reader = stream.reader {
      // Moved out for the time of the call, so that it is changed in place.
      stream.reader = nil
      deltas = reader.append(piece.text).map { delta(of: $0, &stream) }
      stream.reader = reader
    } else if !piece.text.isEmpty {
      deltas = [["content": .string(piece.text)]]
    }
    // Text may be held back; log-probabilities are not.
    if deltas.isEmpty, reportsLogprobs { deltas = [["content": ""]] }
    return entries(index, deltas, piece.tokens)
  }

  func ending(_ reason: FinishReason, _ stream: inout AnswerStream, index: Int) -> [String] {
    let parts = stream.reader?.finish() ?? []
    let rest = parts.map { entry(index, delta(of: $0, &stream).encoded()) }
    return rest + [entry(index, "{}", reason: Self.reason(reason, calls: stream.callCount).encoded())]
  }

  private func delta(of part: ChatPart, _ stream: inout AnswerStream) -> JSONValue {
    switch part {
    case .content(let text): return ["content": .string(text)]
    case .reasoning(let text): return ["reasoning_content": .string(text)]
    case .call(let name):
      stream.callCount += 1
      return [
        "tool_calls": [
          [
            "index": .integer(stream.callCount - 1), "id": .string(ToolCallID.make()), "type": "function",
            "function": ["name": .string(name), "arguments": ""],
          ]
        ]
      ]
    case .arguments(let bytes):
      let text = JSONValue.string(String(decoding: bytes, as: UTF8.self))
      return ["tool_calls": [["index": .integer(stream.callCount - 1), "function": ["arguments": text]]]]
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
