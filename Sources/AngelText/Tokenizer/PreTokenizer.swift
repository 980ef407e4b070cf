/// Cuts normalised text into the pieces that are encoded one by one: `PreTokenizerStep`s with their patterns compiled.
struct PreTokenizer: Sendable {
  private enum Step: Sendable {
    case split(SplitPattern, SplitBehavior, inverted: Bool)
    case prefixSpace
  }

  private let steps: [Step]

  init(_ description: [PreTokenizerStep]) throws(TokenizerError) {
    guard case .byteLevel? = description.last else {
      throw .unsupported(
        feature: "pre-tokenizer", value: description.isEmpty ? "none" : "without a final ByteLevel step",
        supported: ["byte-level (a ByteLevel step at the end)"])
    }
    var steps: [Step] = []
    for (index, step) in description.enumerated() {
      switch step {
      case .split(let rule, let behavior, let inverted):
        steps.append(.split(try SplitPattern(rule), behavior, inverted: inverted))
      case .digits(let individually):
        let pattern = try SplitPattern(.expression(#"\p{N}"#))
        steps.append(.split(pattern, individually ? .isolated : .contiguous, inverted: false))
      case .byteLevel(let addingPrefixSpace, let splittingWords):
        guard index == description.count - 1 else {
          throw .unsupported(
            feature: "pre-tokenizer", value: "ByteLevel before other steps", supported: ["ByteLevel last"])
        }
        if addingPrefixSpace { steps.append(.prefixSpace) }
        if splittingWords {
          let pattern = try SplitPattern(.expression(NamedPreTokenizer.gpt2Expression))
          steps.append(.split(pattern, .isolated, inverted: false))
        }
      case .whitespace:
        steps.append(.split(try SplitPattern(.expression(#"\w+|[^\w\s]+"#)), .removed, inverted: true))
      case .whitespaceSplit:
        steps.append(.split(try SplitPattern(.expression(#"\s"#)), .removed, inverted: false))
      case .punctuation(let behavior):
        steps.append(.split(try SplitPattern(.expression(#"[\p{P}$+<=>^`|~]"#)), behavior, inverted: false))
      }
    }
    self.steps = steps
  }

  /// Cuts `text` into `cuts.pieces`, ranges of `cuts.text`.
  func cut(_ text: ArraySlice<UInt8>, into cuts: inout TextCuts, _ memory: MatchMemory) throws(TokenizerError) {
    cuts.start(with: text)
    for step in steps {
      switch step {
      case .split(let pattern, let behavior, let inverted):
        try cuts.split(by: pattern, behavior, inverted: inverted, memory)
      case .prefixSpace: cuts.addPrefixSpaces()
      }
    }
  }
}

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
