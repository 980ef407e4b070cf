import AngelCore
import AngelHCF

/// `message`: the assistant's turn as blocks of text, thoughts and calls.
struct MessageForm: AnswerForm {
  let head: AnswerHead
  let reading: ChatReading
  /// Tokens of the prompt.
  let promptCount: Int

  func whole(_ answers: [CollectedAnswer], _ usage: ServingUsage) -> JSONValue {
    guard let answer = answers.first else { return nil }
    let turn = ChatTurn(reading, of: answer)
    // What was cut in the middle of its arguments is no call.
    let blocks = turn.blocks.compactMap { block -> JSONValue? in
      if case .call = block.kind { return block.arguments.map { json(block, input: $0) } }
      return json(block)
    }
    var object = message(blocks)
    let end = Self.end(answer.reason, stopText: answer.stopText, hasCalls: turn.hasWholeCalls)
    for member in end.members { object[member.key] = member.value }
    object["usage"] = Self.json(usage)
    return .object(object)
  }

  func makeStream() -> any AnswerStream { MessageStream(self) }

  /// A message that has not ended.
  fileprivate func message(_ content: [JSONValue]) -> JSONObject {
    JSONObject([
      ("id", .string("msg_" + head.id)), ("type", "message"), ("role", "assistant"), ("model", .string(head.model)),
      ("content", .array(content)), ("stop_reason", nil), ("stop_sequence", nil),
    ])
  }

  fileprivate func json(_ block: ChatBlock, input: JSONObject = JSONObject()) -> JSONValue {
    switch block.kind {
    case .text: ["type": "text", "text": .string(block.text)]
    // Thoughts are not signed.
    case .reasoning: ["type": "thinking", "thinking": .string(block.text), "signature": ""]
    case .call(let id, let name):
      ["type": "tool_use", "id": .string(id), "name": .string(name), "input": .object(input)]
    }
  }

  /// Why a message ended.
  fileprivate static func end(_ reason: FinishReason, stopText: String?, hasCalls: Bool) -> JSONObject {
    let name =
      stopText != nil ? "stop_sequence" : reason != .stop ? "max_tokens" : hasCalls ? "tool_use" : "end_turn"
    return JSONObject([("stop_reason", .string(name)), ("stop_sequence", stopText.map { .string($0) } ?? nil)])
  }

  /// Tokens of the prompt that were in the cache are not among `input_tokens`, as Anthropic counts.
  fileprivate static func json(_ usage: ServingUsage) -> JSONValue {
    [
      "input_tokens": .integer(usage.promptTokens - usage.cachedTokens), "cache_creation_input_tokens": 0,
      "cache_read_input_tokens": .integer(usage.cachedTokens), "output_tokens": .integer(usage.completionTokens),
    ]
  }
}

/// The events of Anthropic's streams.
private struct MessageStream: AnswerStream {
  private let form: MessageForm
  private var turn: ChatTurn
  private var end = JSONObject()

  init(_ form: MessageForm) {
    self.form = form
    turn = ChatTurn(form.reading)
  }

  func begin(to text: inout String) {
    var message = form.message([])
    var usage = ServingUsage()
    usage.promptTokens = form.promptCount
    message["usage"] = MessageForm.json(usage)
    text += EventText.named("message_start", ["type": "message_start", "message": .object(message)])
    text += EventText.named("ping", ["type": "ping"])
  }

  mutating func write(_ event: AnswerEvent, to text: inout String) {
    switch event {
    case .prompt: break
    case .piece(let piece): for event in turn.take(piece) { write(event, to: &text) }
    case .finished(_, let reason, let stopText):
      for event in turn.finish() { write(event, to: &text) }
      end = MessageForm.end(reason, stopText: stopText, hasCalls: turn.hasWholeCalls)
    }
  }

  private func write(_ event: ChatTurn.Event, to text: inout String) {
    switch event {
    case .begin(let index):
      let empty = form.json(ChatBlock(kind: turn.blocks[index].kind))
      text += EventText.named(
        "content_block_start",
        ["type": "content_block_start", "index": .integer(index), "content_block": empty])
    case .more(let index, let piece):
      text += EventText.named(
        "content_block_delta",
        ["type": "content_block_delta", "index": .integer(index), "delta": delta(turn.blocks[index].kind, piece)])
    case .end(let index):
      text += EventText.named("content_block_stop", ["type": "content_block_stop", "index": .integer(index)])
    }
  }

  private func delta(_ kind: ChatBlock.Kind, _ piece: String) -> JSONValue {
    switch kind {
    case .text: ["type": "text_delta", "text": .string(piece)]
    case .reasoning: ["type": "thinking_delta", "thinking": .string(piece)]
    case .call: ["type": "input_json_delta", "partial_json": .string(piece)]
    }
  }

  func end(_ usage: ServingUsage, to text: inout String) {
    text += EventText.named(
      "message_delta", ["type": "message_delta", "delta": .object(end), "usage": MessageForm.json(usage)])
    text += EventText.named("message_stop", ["type": "message_stop"])
  }

  func fail(_ error: APIError, to text: inout String) {
    text += EventText.named("error", Dialect.anthropic.json(error, requestID: form.head.requestID))
  }
}
