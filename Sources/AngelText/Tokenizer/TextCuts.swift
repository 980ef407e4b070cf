/// A text and the pieces it is cut into so far.
struct TextCuts: Sendable {
  private(set) var text: [UInt8] = []
  private(set) var pieces: [Range<Int>] = []
  private var nextPieces: [Range<Int>] = []
  private var spans: [(range: Range<Int>, isMatch: Bool)] = []

  mutating func start(with newText: ArraySlice<UInt8>) {
    text.removeAll(keepingCapacity: true)
    text.append(contentsOf: newText)
    pieces.removeAll(keepingCapacity: true)
    if !text.isEmpty { pieces.append(0..<text.count) }
  }

  /// Puts a space before each piece that has none.
  mutating func addPrefixSpaces() {
    var result: [UInt8] = []
    result.reserveCapacity(text.count + pieces.count)
    for index in pieces.indices {
      let start = result.count
      let piece = text[pieces[index]]
      if piece.first != UInt8(ascii: " ") { result.append(UInt8(ascii: " ")) }
      result.append(contentsOf: piece)
      pieces[index] = start..<result.count
    }
    text = result
  }

  /// Writes spaces as `marker`, puts one before each piece that has none where `prefix` says so, and cuts before each
  /// marker where `splitting`.
  mutating func applyMarker(_ marker: [UInt8], _ prefix: SpacePrefix, splitting: Bool, startsText: Bool) {
    var result: [UInt8] = []
    result.reserveCapacity(text.count + text.count / 2)
    nextPieces.removeAll(keepingCapacity: true)
    for piece in pieces {
      let start = result.count
      let hasMarker = text[piece.lowerBound] == UInt8(ascii: " ") || text[piece].starts(with: marker)
      let wantsMarker = prefix == .always || prefix == .first && startsText && piece.lowerBound == 0
      if wantsMarker && !hasMarker { result.append(contentsOf: marker) }
      for position in piece {
        if text[position] == UInt8(ascii: " ") {
          result.append(contentsOf: marker)
        } else {
          result.append(text[position])
        }
      }
      if splitting { cut(result, from: start, before: marker) } else { nextPieces.append(start..<result.count) }
    }
    text = result
    swap(&pieces, &nextPieces)
  }

  private mutating func cut(_ bytes: [UInt8], from start: Int, before marker: [UInt8]) {
    bytes.withUnsafeBufferPointer { bytes in
      marker.withUnsafeBufferPointer { marker in
        var pieceStart = start
        var position = start
        while let match = bytes.firstRange(of: marker, from: position) {
          if match.lowerBound > pieceStart { nextPieces.append(pieceStart..<match.lowerBound) }
          pieceStart = match.lowerBound
          position = match.upperBound
        }
        if pieceStart < bytes.count { nextPieces.append(pieceStart..<bytes.count) }
      }
    }
  }

  /// Drops white space and makes each punctuation character a piece.
  mutating func splitWords() {
    nextPieces.removeAll(keepingCapacity: true)
    text.withUnsafeBufferPointer { bytes in
      for piece in pieces {
        var start = piece.lowerBound
        var position = start
        while position < piece.upperBound {
          let (value, end) = bytes.scalar(at: position)
          let isSpace = CharacterRewriting.isWhitespace(value)
          if isSpace || CharacterRewriting.isPunctuation(value) {
            if start < position { nextPieces.append(start..<position) }
            if !isSpace { nextPieces.append(position..<end) }
            start = end
          }
          position = end
        }
        if start < piece.upperBound { nextPieces.append(start..<piece.upperBound) }
      }
    }
    swap(&pieces, &nextPieces)
  }

  mutating func split(
    by pattern: SplitPattern, _ behavior: SplitBehavior, inverted: Bool, _ memory: MatchMemory
  ) throws(TokenizerError) {
    nextPieces.removeAll(keepingCapacity: true)
    for piece in pieces {
      if behavior == .isolated {
        // Matched or not, every span is a piece: the case all known models use.
        try forEachSpan(of: piece, pattern, memory) { cuts, span, _ in cuts.nextPieces.append(span) }
      } else {
        spans.removeAll(keepingCapacity: true)
        try forEachSpan(of: piece, pattern, memory) { cuts, span, isMatch in
          cuts.spans.append((span, isMatch != inverted))
        }
        join(behavior)
      }
    }
    swap(&pieces, &nextPieces)
  }

  /// Calls `body` with the matches of `pattern` in `piece` and the spans between them, in order, none empty.
  ///
  /// The pattern sees the piece alone: look-around does not reach beyond an earlier step's cut.
  @inline(__always)
  private mutating func forEachSpan(
    of piece: Range<Int>, _ pattern: SplitPattern, _ memory: MatchMemory,
    _ body: (inout TextCuts, Range<Int>, Bool) -> Void
  ) throws(TokenizerError) {
    var position = 0
    var end = 0
    while position < piece.count {
      let match = try text.withUnsafeBufferPointer { (bytes) throws(TokenizerError) in
        try pattern.firstMatch(in: UnsafeBufferPointer(rebasing: bytes[piece]), from: position, memory)
      }
      guard let match else { break }
      guard !match.isEmpty else {
        position = nextScalar(after: match.lowerBound, in: piece)
        continue
      }
      let base = piece.lowerBound
      if end < match.lowerBound { body(&self, (base + end)..<(base + match.lowerBound), false) }
      body(&self, (base + match.lowerBound)..<(base + match.upperBound), true)
      end = match.upperBound
      position = end
    }
    if end < piece.count { body(&self, (piece.lowerBound + end)..<piece.upperBound, false) }
  }

  private func nextScalar(after position: Int, in piece: Range<Int>) -> Int {
    var next = position + 1
    while next < piece.count, text[piece.lowerBound + next] & 0xC0 == 0x80 { next += 1 }
    return next
  }

  /// Turns the spans of one piece into pieces.
  private mutating func join(_ behavior: SplitBehavior) {
    let first = nextPieces.count
    var previousIsMatch = false
    switch behavior {
    case .isolated: nextPieces.append(contentsOf: spans.lazy.map(\.range))
    case .removed: nextPieces.append(contentsOf: spans.lazy.filter { !$0.isMatch }.map(\.range))
    case .contiguous, .mergedWithPrevious:
      for span in spans {
        let joins =
          behavior == .contiguous ? span.isMatch == previousIsMatch : span.isMatch && !previousIsMatch
        if joins, nextPieces.count > first {
          nextPieces[nextPieces.count - 1] = nextPieces[nextPieces.count - 1].lowerBound..<span.range.upperBound
        } else {
          nextPieces.append(span.range)
        }
        previousIsMatch = span.isMatch
      }
    case .mergedWithNext:
      for span in spans.reversed() {
        if span.isMatch, !previousIsMatch, nextPieces.count > first {
          nextPieces[nextPieces.count - 1] = span.range.lowerBound..<nextPieces[nextPieces.count - 1].upperBound
        } else {
          nextPieces.append(span.range)
        }
        previousIsMatch = span.isMatch
      }
      nextPieces[first...].reverse()
    }
  }
}
