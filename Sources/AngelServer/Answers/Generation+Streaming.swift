import AngelCore
import AngelHCF

extension Generation: ResponseSource {
  /// The stream's text for what has come since the last call.
  func next() -> ResponsePiece {
    let (events, ends, isAtEnd) = state.withLock { state in
      defer {
        state.waiting = []
        state.hasEnded = state.isOver
      }
      return (state.waiting, state.isOver && !state.hasEnded, state.hasEnded)
    }
    if isAtEnd { return .end }
    var text = ""
    // Moved out, and held nowhere else: it is changed in place, and not copied with every token.
    var stream = state.withLock { $0.stream.take() }
    if stream == nil {
      stream = form.makeStream()
      stream?.begin(to: &text)
    }
    for event in events { stream?.write(event, to: &text) }
    if ends {
      let (error, used) = state.withLock { ($0.error, $0.usage) }
      if let error { stream?.fail(error, to: &text) } else { stream?.end(used, to: &text) }
    }
    // One thread at a time asks, so nobody has changed it meanwhile.
    state.withLock { [stream] in $0.stream = stream }
    return text.isEmpty ? .nothingYet : .bytes(Array(text.utf8))
  }
}
