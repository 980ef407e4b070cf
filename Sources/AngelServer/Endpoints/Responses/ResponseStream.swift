import AngelCore
import AngelHCF

/// The events of a response's stream, numbered from 0.
struct ResponseStream: AnswerStream {
  private let form: ResponseForm
  private var turn: ChatTurn
  private var number = 0
  /// Tokens of the block under way whose log-probabilities have been sent.
  private var sentTokens = 0
  private var state = ResponseForm.State.cut

  init(_ form: ResponseForm) {
    self.form = form
    turn = ChatTurn(form.reading)
  }

  private mutating func send(_ name: String, _ members: [(String, JSONValue)], to text: inout String) {
    let first: [(String, JSONValue)] = [("type", .string(name)), ("sequence_number", .integer(number))]
    number += 1
    text += EventText.named(name, .object(JSONObject(first + members)))
  }

  mutating func begin(to text: inout String) {
    let response = form.response(.underWay, output: [], usage: nil)
    send("response.created", [("response", response)], to: &text)
    send("response.in_progress", [("response", response)], to: &text)
  }

  mutating func write(_ event: AnswerEvent, to text: inout String) {
    switch event {
    case .prompt: break
    case .piece(let piece): for event in turn.take(piece) { write(event, .complete, to: &text) }
    case .finished(_, let reason, _):
      state = ResponseForm.State(reason)
      let events = turn.finish()
      for (index, event) in events.enumerated() {
        write(event, index == events.count - 1 ? state : .complete, to: &text)
      }
    }
  }

  /// - Parameter end: how the block stands when it ends.
  private mutating func write(_ event: ChatTurn.Event, _ end: ResponseForm.State, to text: inout String) {
    switch event {
    case .begin(let index): writeBegin(index, to: &text)
    case .more(let index, let piece): write(piece, index, to: &text)
    case .end(let index): writeEnd(index, end, to: &text)
    }
  }

  /// Where an item stands in the output.
  private func place(_ index: Int) -> [(String, JSONValue)] {
    [("item_id", form.id(turn.blocks[index], index)), ("output_index", .integer(index))]
  }

  private mutating func writeBegin(_ index: Int, to text: inout String) {
    let empty = ChatBlock(kind: turn.blocks[index].kind)
    sentTokens = 0
    send(
      "response.output_item.added",
      [("output_index", .integer(index)), ("item", form.item(empty, index, .underWay))], to: &text)
    if case .call = empty.kind { return }
    send(
      "response.content_part.added", place(index) + [("content_index", 0), ("part", form.part(empty))], to: &text)
  }

  private mutating func write(_ piece: String, _ index: Int, to text: inout String) {
    let block = turn.blocks[index]
    switch block.kind {
    case .text:
      let logprobs = form.logprobs(block.tokens[sentTokens...])
      sentTokens = block.tokens.count
      send(
        "response.output_text.delta",
        place(index) + [("content_index", 0), ("delta", .string(piece)), ("logprobs", logprobs)], to: &text)
    case .reasoning:
      send(
        "response.reasoning_text.delta", place(index) + [("content_index", 0), ("delta", .string(piece))], to: &text)
    case .call:
      send("response.function_call_arguments.delta", place(index) + [("delta", .string(piece))], to: &text)
    }
  }

  private mutating func writeEnd(_ index: Int, _ state: ResponseForm.State, to text: inout String) {
    let block = turn.blocks[index]
    let all = JSONValue.string(block.text)
    switch block.kind {
    case .text:
      send(
        "response.output_text.done",
        place(index) + [("content_index", 0), ("text", all), ("logprobs", form.logprobs(block.tokens[...]))], to: &text)
    case .reasoning:
      send("response.reasoning_text.done", place(index) + [("content_index", 0), ("text", all)], to: &text)
    case .call(_, let name):
      send(
        "response.function_call_arguments.done", place(index) + [("name", .string(name)), ("arguments", all)], to: &text
      )
    }
    if block.kind == .text || block.kind == .reasoning {
      send(
        "response.content_part.done", place(index) + [("content_index", 0), ("part", form.part(block))], to: &text)
    }
    send(
      "response.output_item.done", [("output_index", .integer(index)), ("item", form.item(block, index, state))],
      to: &text)
  }

  mutating func end(_ usage: ServingUsage, to text: inout String) {
    let response = form.response(state, output: form.items(turn, state), usage: form.json(usage, turn))
    let isCut = if case .cut = state { true } else { false }
    send(isCut ? "response.incomplete" : "response.completed", [("response", response)], to: &text)
  }

  mutating func fail(_ error: APIError, to text: inout String) {
    let response = form.response(.failed(error), output: form.items(turn, .cut), usage: nil)
    send("response.failed", [("response", response)], to: &text)
  }
}
