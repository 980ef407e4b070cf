import AngelCore
import AngelHCF

extension Generation: ResponseSource {
  /// The server-sent events of what has come since the last call.
  func next() -> ResponsePiece {
    let (events, former, ends, isAtEnd) = state.withLock { state in
      defer {
        state.waiting = []
        // Moved out, not copied: only this function changes them.
        state.streams = []
        state.hasEnded = state.isOver
      }
      return (state.waiting, state.streams, state.isOver && !state.hasEnded, state.hasEnded)
    }
    if isAtEnd { return .end }
    var streams = consume former
    var text = ""
    for event in events { write(event, &streams, to: &text) }
    // One thread at a time asks, so nobody has changed them meanwhile.
    state.withLock { $0.streams = streams }
    if ends {
      let (error, used) = state.withLock { ($0.error, $0.usage) }
      writeEnd(error, used, to: &text)
    }
    return text.isEmpty ? .nothingYet : .bytes(Array(text.utf8))
  }

  private func write(_ event: Event, _ streams: inout [AnswerStream], to text: inout String) {
    switch event {
    case .prompt(let answer, let tokens): streams[answer].promptTokens = tokens
    case .piece(let piece):
      begin(piece.answer, &streams, to: &text)
      for entry in form.piece(piece, &streams[piece.answer], index: piece.answer) { add(entry, to: &text) }
    case .finished(let answer, let reason):
      begin(answer, &streams, to: &text)
      for entry in form.ending(reason, &streams[answer], index: answer) { add(entry, to: &text) }
    }
  }

  private func begin(_ answer: Int, _ streams: inout [AnswerStream], to text: inout String) {
    guard !streams[answer].hasBegun else { return }
    streams[answer].hasBegun = true
    for entry in form.opening(&streams[answer], index: answer) { add(entry, to: &text) }
  }

  private func add(_ choice: String, to text: inout String) {
    text += "data: \(pieceStart),\"choices\":[\(choice)]\(plan.includesUsage ? ",\"usage\":null" : "")}\n\n"
  }

  private func writeEnd(_ error: APIError?, _ used: ServingUsage, to text: inout String) {
    if let error {
      text += "data: \(error.json.encoded())\n\n"
    } else if plan.includesUsage {
      text += "data: \(pieceStart),\"choices\":[],\"usage\":\(usage(used).encoded())}\n\n"
    }
    text += "data: [DONE]\n\n"
  }
}
