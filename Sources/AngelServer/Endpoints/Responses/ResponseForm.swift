import AngelCore
import AngelHCF

/// `response`: the assistant's turn as items of output: thoughts, messages and calls.
struct ResponseForm: AnswerForm {
  let head: AnswerHead
  let reading: ChatReading
  /// For log-probabilities; nil: none are asked for.
  let texts: TokenText?
  /// What the request asked for.
  let asked: JSONObject

  var keepsPieces: Bool { true }

  func whole(_ answers: [CollectedAnswer], _ usage: ServingUsage) -> JSONValue {
    guard let answer = answers.first else { return nil }
    let turn = ChatTurn(reading, of: answer)
    let state = State(answer.reason)
    return response(state, output: items(turn, state), usage: json(usage, turn))
  }

  func makeStream() -> any AnswerStream { ResponseStream(self) }

  /// How far a response, or an item of it, has come.
  enum State {
    case underWay, complete, cut
    case failed(APIError)

    init(_ reason: FinishReason) { self = reason == .stop ? .complete : .cut }

    fileprivate var name: JSONValue {
      switch self {
      case .underWay: "in_progress"
      case .complete: "completed"
      case .cut: "incomplete"
      case .failed: "failed"
      }
    }
  }

  func response(_ state: State, output: [JSONValue], usage: JSONValue) -> JSONValue {
    var (error, details): (JSONValue, JSONValue) = (nil, nil)
    if case .failed(let failure) = state {
      error = [
        "code": failure.status == 429 ? "rate_limit_exceeded" : "server_error", "message": .string(failure.message),
      ]
    }
    if case .cut = state { details = ["reason": "max_output_tokens"] }
    var object = JSONObject([
      ("id", .string("resp_" + head.id)), ("object", "response"), ("created_at", .integer(head.created)),
      ("status", state.name), ("background", false), ("error", error), ("incomplete_details", details),
      ("model", .string(head.model)), ("output", .array(output)), ("previous_response_id", nil), ("store", false),
      ("truncation", "disabled"), ("metadata", [:]), ("usage", usage),
    ])
    for member in asked.members { object[member.key] = member.value }
    return .object(object)
  }

  /// All items of a turn; where it was cut, its last is not complete.
  func items(_ turn: ChatTurn, _ state: State) -> [JSONValue] {
    turn.blocks.indices.map { item(turn.blocks[$0], $0, $0 == turn.blocks.count - 1 ? state : .complete) }
  }

  /// The name of an item.
  func id(_ block: ChatBlock, _ index: Int) -> JSONValue {
    let prefix =
      switch block.kind {
      case .text: "msg_"
      case .reasoning: "rs_"
      case .call: "fc_"
      }
    return .string("\(prefix)\(head.id)_\(index)")
  }

  func item(_ block: ChatBlock, _ index: Int, _ state: State) -> JSONValue {
    // A call that ended in the middle of its arguments is not complete, whatever the answer is.
    var state = state
    if case .complete = state, block.isBrokenCall { state = .cut }
    var object = JSONObject([("id", id(block, index))])
    var isEmpty = false
    if case .underWay = state { isEmpty = true }
    switch block.kind {
    case .text:
      object["type"] = "message"
      object["role"] = "assistant"
      object["content"] = isEmpty ? [] : [part(block)]
    case .reasoning:
      object["type"] = "reasoning"
      object["summary"] = []
      object["content"] = isEmpty ? [] : [part(block)]
    case .call(let id, let name):
      object["type"] = "function_call"
      object["call_id"] = .string(id)
      object["name"] = .string(name)
      object["arguments"] = .string(block.text)
    }
    object["status"] = state.name
    return .object(object)
  }

  /// The one part of a message's content, or of thoughts.
  func part(_ block: ChatBlock) -> JSONValue {
    guard block.kind == .text else { return ["type": "reasoning_text", "text": .string(block.text)] }
    return [
      "type": "output_text", "text": .string(block.text), "annotations": [], "logprobs": logprobs(block.tokens[...]),
    ]
  }

  func logprobs(_ tokens: ArraySlice<SampledToken>) -> JSONValue {
    .array(texts.map { ChatLogprobs.entries(Array(tokens), $0) } ?? [])
  }

  func json(_ usage: ServingUsage, _ turn: ChatTurn) -> JSONValue {
    let thoughts = turn.blocks.filter { $0.kind == .reasoning }.reduce(0) { $0 + $1.tokens.count }
    return [
      "input_tokens": .integer(usage.promptTokens),
      "input_tokens_details": ["cached_tokens": .integer(usage.cachedTokens), "cache_write_tokens": 0],
      "output_tokens": .integer(usage.completionTokens),
      "output_tokens_details": ["reasoning_tokens": .integer(thoughts)],
      "total_tokens": .integer(usage.promptTokens + usage.completionTokens),
    ]
  }
}
