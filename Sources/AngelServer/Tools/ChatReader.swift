import AngelGrammar

/// A part of an assistant's turn.
enum ChatPart: Equatable, Sendable {
  case content(String)
  case reasoning(String)
  /// A tool is called; its arguments follow.
  case call(name: String)
  /// A piece of the last call's arguments, as JSON text in UTF-8.
  case arguments([UInt8])
}

/// Tells thoughts, text and tool calls of an answer apart while it comes in.
///
/// Whatever pieces the text comes in, the parts put together are the same. Only what may become a marker is held back. Between
/// the sections line ends are dropped. What looks like a call and turns out to be none is text.
struct ChatReader: Sendable {
  private enum Section {
    /// At the beginning, where thoughts may come.
    case beginning
    /// Behind the opener of thoughts, where line ends do not count.
    case beforeThoughts
    case thoughts
    /// At the beginning of the text, behind thoughts and between calls, where space does not count.
    case beforeText
    case text
    /// In a call, or between calls where a list goes on.
    case call(CallScanner)
    case afterCall
    case end
  }

  private let reasoning: ReasoningFormat?
  private let syntax: ToolCallSyntax?
  private let names: Set<String>
  private var section: Section
  /// What has come in and is not given out.
  private var held: [UInt8] = []
  private var output: [ChatPart] = []
  /// Whether anything but thoughts and space has come.
  private var hasText = false
  /// What was written before a call under way, to be shown where it turns out to be none.
  private var opening: [UInt8] = []
  private(set) var callCount = 0

  /// - Parameters:
  ///   - reasoning: nil: thoughts are not told apart.
  ///   - syntax: nil: no calls are looked for.
  ///   - names: those of the tools.
  ///   - hasOpened: whether the prompt ends with the opener of calls.
  init(reasoning: ReasoningFormat?, syntax: ToolCallSyntax?, names: Set<String> = [], hasOpened: Bool = false) {
    self.reasoning = reasoning
    self.syntax = syntax
    self.names = names
    section =
      hasOpened
      ? .call(CallScanner(names: names))
      : reasoning == nil ? .beforeText : reasoning?.hasBegun == true ? .beforeThoughts : .beginning
  }

  /// Takes the next piece of the answer.
  mutating func append(_ text: String) -> [ChatPart] {
    held += text.utf8
    while !held.isEmpty, step(isLast: false) {}
    return taken()
  }

  /// The parts that are held back, when no more comes.
  mutating func finish() -> [ChatPart] {
    while !held.isEmpty, step(isLast: true) {}
    if case .call(let scanner) = section, !scanner.isGiven { give(content: opening + scanner.text) }
    section = .end
    return taken()
  }

  private mutating func taken() -> [ChatPart] {
    defer { output = [] }
    return output.reduce(into: []) { parts, part in
      switch (parts.last, part) {
      case (.content(let before)?, .content(let text)): parts[parts.count - 1] = .content(before + text)
      case (.reasoning(let before)?, .reasoning(let text)): parts[parts.count - 1] = .reasoning(before + text)
      case (.arguments(let before)?, .arguments(let bytes)): parts[parts.count - 1] = .arguments(before + bytes)
      default: parts.append(part)
      }
    }
  }

  // MARK: Steps

  /// Goes on by what is held; false where more is needed.
  private mutating func step(isLast: Bool) -> Bool {
    switch section {
    case .beginning: return stepBeginning(isLast)
    case .beforeThoughts:
      held = Array(held.drop(while: Self.isLineEnd))
      return held.isEmpty ? false : enter(.thoughts)
    case .thoughts: return stepThoughts(isLast)
    case .beforeText: return stepBeforeText(isLast)
    case .text: return stepText(isLast)
    case .call(let scanner):
      // Moved out for the time of the call, so that it is changed in place.
      section = .end
      return stepCall(scanner)
    case .afterCall: return stepAfterCall(isLast)
    case .end:
      held = []
      return false
    }
  }

  private mutating func stepBeginning(_ isLast: Bool) -> Bool {
    guard let reasoning else { return enter(.beforeText) }
    let rest = held.drop(while: Self.isSpace)
    switch Marker.match([reasoning.opener], at: rest, isLast: isLast) {
    case .found(let count):
      held = Array(rest.dropFirst(count))
      return enter(.beforeThoughts)
    case .undecided: return false
    case .none: return enter(.beforeText)
    }
  }

  private mutating func stepThoughts(_ isLast: Bool) -> Bool {
    guard let closer = reasoning?.closer else { return enter(.beforeText) }
    let (before, rest) = Marker.split(held, at: ["\n\n" + closer, "\n" + closer, closer], isLast: isLast)
    if !before.isEmpty { output.append(.reasoning(String(decoding: before, as: UTF8.self))) }
    held = Array(rest ?? held.dropFirst(before.count))
    return rest == nil ? false : enter(.beforeText)
  }

  private mutating func stepBeforeText(_ isLast: Bool) -> Bool {
    let rest = held.drop(while: Self.isSpace)
    if let syntax {
      if syntax.isBare, !hasText, callCount == 0, rest.first == UInt8(ascii: "{") {
        opening = Array(held.prefix(held.count - rest.count))
        held = Array(rest)
        return enter(.call(CallScanner(names: names)))
      }
      switch Marker.match([syntax.opener], at: rest, isLast: isLast) {
      case .found(let count): return enterCalls(held[..<(rest.startIndex + count)])
      case .undecided: return false
      case .none: break
      }
    }
    // Space before the very first text is the answer's own; behind thoughts and calls only line ends are dropped.
    let isBehind = reasoning != nil || callCount > 0
    held = Array(isBehind ? held.drop(while: Self.isLineEnd) : held[...])
    return held.isEmpty ? false : enter(.text)
  }

  private mutating func stepText(_ isLast: Bool) -> Bool {
    hasText = true
    guard let opener = syntax?.opener else {
      give(content: held)
      held = []
      return false
    }
    let markers = ["\n\n" + opener, "\n" + opener, opener]
    let (before, rest) = Marker.split(held, at: markers, isLast: isLast)
    give(content: Array(before))
    guard let rest else {
      held.removeFirst(before.count)
      return false
    }
    return enterCalls(held[before.count..<(held.count - rest.count)])
  }

  /// Begins to read calls behind an opener that ends where `marker` does.
  private mutating func enterCalls(_ marker: ArraySlice<UInt8>) -> Bool {
    opening = Array(marker)
    held = Array(held[marker.endIndex...])
    return enter(.call(CallScanner(names: names)))
  }

  private mutating func stepCall(_ scanner: consuming CallScanner) -> Bool {
    var position = 0
    while position < held.count, scanner.status == .reading {
      let byte = held[position]
      position += 1
      // A list's bracket stands before the first call.
      if syntax?.isList == true, scanner.text.allSatisfy(Self.isSpace), byte == UInt8(ascii: "[") {
        opening.append(byte)
      } else {
        scanner.take(byte)
      }
    }
    held.removeFirst(position)
    callCount += scanner.output.count { if case .call = $0 { true } else { false } }
    output += scanner.output
    scanner.output = []
    switch scanner.status {
    case .reading: return enter(.call(scanner))
    case .complete: return enter(.afterCall)
    case .failed:
      if !scanner.isGiven { give(content: opening + scanner.text) }
      return enter(.text)
    }
  }

  private mutating func stepAfterCall(_ isLast: Bool) -> Bool {
    guard let syntax else { return enter(.text) }
    let rest = held.drop(while: Self.isSpace)
    guard let next = rest.first else { return false }
    if syntax.separator.utf8.first == next {
      opening = []
      held = Array(rest.dropFirst())
      return enter(.call(CallScanner(names: names)))
    }
    if syntax.isList, next == UInt8(ascii: "]") {
      held = Array(rest.dropFirst())
      return true
    }
    guard !syntax.closer.isEmpty else { return enter(.beforeText) }
    switch Marker.match([syntax.closer], at: rest, isLast: isLast) {
    case .found(let count): held = Array(rest.dropFirst(count))
    case .undecided: return false
    case .none: break
    }
    return enter(.beforeText)
  }

  private mutating func enter(_ next: Section) -> Bool {
    section = next
    return true
  }

  private mutating func give(content bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    hasText = true
    output.append(.content(String(decoding: bytes, as: UTF8.self)))
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
  private static func isLineEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }
}

/// Markers in text of which the end may not have come in yet.
private enum Marker {
  enum Match {
    case found(Int), undecided, none
  }

  /// Whether `text` begins with one of the markers; how many bytes it has.
  static func match(_ markers: [String], at text: ArraySlice<UInt8>, isLast: Bool) -> Match {
    for marker in markers where text.starts(with: marker.utf8) { return .found(marker.utf8.count) }
    let mayCome = !isLast && markers.contains { text.count < $0.utf8.count && $0.utf8.starts(with: text) }
    return mayCome ? .undecided : .none
  }

  /// The text before the first marker, and what is behind it; without one, the text that is certainly before any.
  static func split(
    _ text: [UInt8], at markers: [String], isLast: Bool
  ) -> (before: ArraySlice<UInt8>, rest: ArraySlice<UInt8>?) {
    for position in text.indices {
      switch match(markers, at: text[position...], isLast: isLast) {
      case .found(let count): return (text[..<position], text[(position + count)...])
      case .undecided: return (text[..<position], nil)
      case .none: continue
      }
    }
    return (text[...], nil)
  }
}
