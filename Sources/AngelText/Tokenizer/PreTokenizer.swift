/// Cuts normalised text into the pieces that are encoded one by one: `PreTokenizerStep`s with their patterns compiled.
struct PreTokenizer: Sendable {
  private enum Step: Sendable {
    case split(SplitPattern, SplitBehavior, inverted: Bool)
    case prefixSpace
    case marker([UInt8], SpacePrefix, splitting: Bool)
    case words
  }

  private let steps: [Step]

  init(_ description: [PreTokenizerStep]) throws(TokenizerError) {
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
      case .metaspace(let marker, let prefix, let splitting):
        guard marker.unicodeScalars.count == 1 else {
          throw .invalid(field: "pre-tokenizer", reason: "the marker '\(marker.prefix(8))' is not one character")
        }
        steps.append(.marker(Array(marker.utf8), prefix, splitting: splitting))
      case .bert: steps.append(.words)
      }
    }
    self.steps = steps
  }

  /// Cuts `text` into `cuts.pieces`, ranges of `cuts.text`; `startsText` says that nothing comes before it.
  func cut(
    _ text: ArraySlice<UInt8>, into cuts: inout TextCuts, _ memory: MatchMemory, startsText: Bool
  ) throws(TokenizerError) {
    cuts.start(with: text)
    for step in steps {
      switch step {
      case .split(let pattern, let behavior, let inverted):
        try cuts.split(by: pattern, behavior, inverted: inverted, memory)
      case .prefixSpace: cuts.addPrefixSpaces()
      case .marker(let marker, let prefix, let splitting):
        cuts.applyMarker(marker, prefix, splitting: splitting, startsText: startsText)
      case .words: cuts.splitWords()
      }
    }
  }
}
