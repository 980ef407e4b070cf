import AngelCore
import AngelHCF

extension Generation: ResponseSource {
  /// The stream's text for what has come since the last call.
  func next() -> ResponsePiece {
    let (events, former, ends, isAtEnd) = state.withLock { state in
      defer {
        state.waiting = []
        // Moved out, not copied: only this function changes it.
        state.stream = nil
        state.hasEnded = state.isOver
      }
      return (state.waiting, state.stream, state.isOver && !state.hasEnded, state.hasEnded)
    }
    if isAtEnd { return .end }
    var text = ""
    var stream: any AnswerStream
    if let former {
      stream = former
    } else {
      stream = form.makeStream()
      stream.begin(to: &text)
    }
    for event in events { stream.write(event, to: &text) }
    if ends {
      let (error, used) = state.withLock { ($0.error, $0.usage) }
      if let error { stream.fail(error, to: &text) } else { stream.end(used, to: &text) }
    }
    // One thread at a time asks, so nobody has changed it meanwhile.
    state.withLock { [stream] in $0.stream = stream }
    return text.isEmpty ? .nothingYet : .bytes(Array(text.utf8))
  }
}
