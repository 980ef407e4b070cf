import AngelCore
import AngelHCF

/// A stretch of an assistant's turn: text, thoughts, or one call.
struct ChatBlock: Sendable {
  enum Kind: Equatable, Sendable {
    case text, reasoning
    case call(id: String, name: String)
  }

  let kind: Kind
  /// Of a call: how many came before it.
  var callNumber = 0
  /// What it says; of a call its arguments, as JSON.
  var text = ""
  /// The tokens that came with it.
  var tokens: [SampledToken] = []

  /// A call's arguments, where they have come in whole and are an object.
  var arguments: JSONObject? {
    guard case .call = kind else { return nil }
    return CallArguments.object(in: text.utf8)
  }

  /// Whether it is a call without whole arguments.
  var isBrokenCall: Bool {
    guard case .call = kind else { return false }
    return arguments == nil
  }
}

/// An assistant's turn that is put together, piece by piece.
struct ChatTurn: Sendable {
  /// What a piece does to the block of that number.
  enum Event: Equatable, Sendable {
    case begin(Int)
    case more(Int, String)
    case end(Int)
  }

  private(set) var blocks: [ChatBlock] = []
  private(set) var callCount = 0
  /// Whether a call can be made.
  var hasWholeCalls: Bool { blocks.contains { $0.arguments != nil } }
  /// Nil where an answer is text and nothing else.
  private var reader: ChatReader?
  private var isOpen = false
  /// Tokens that came before the first block.
  private var early: [SampledToken] = []

  init(_ reading: ChatReading) { reader = reading.makeReader() }

  /// A whole turn.
  init(_ reading: ChatReading, of answer: CollectedAnswer) {
    self.init(reading)
    for piece in answer.pieces { _ = take(piece) }
    _ = finish()
  }

  /// All text of a kind; nil where there is none.
  func text(of kind: ChatBlock.Kind) -> String? {
    let found = blocks.filter { $0.kind == kind }
    return found.isEmpty ? nil : found.map(\.text).joined()
  }

  /// Takes the next piece. Its tokens go with the block that was open, or with the first that the piece begins.
  mutating func take(_ piece: ServingPiece) -> [Event] {
    var parts: [ChatPart] = piece.text.isEmpty ? [] : [.content(piece.text)]
    if var reader {
      // Moved out for the time of the call, so that it is changed in place.
      self.reader = nil
      parts = reader.append(piece.text)
      self.reader = reader
    }
    let last = blocks.count - 1
    let events = parts.flatMap { add($0) }
    guard !piece.tokens.isEmpty else { return events }
    let first = events.lazy.compactMap { event -> Int? in if case .end = event { nil } else { event.index } }.first
    guard let block = first ?? (isOpen ? last : nil) else {
      early += piece.tokens
      return events
    }
    blocks[block].tokens += early + piece.tokens
    early = []
    return events
  }

  /// Nothing more comes: what was held back, and the end of the last block.
  mutating func finish() -> [Event] {
    let events = (reader?.finish() ?? []).flatMap { add($0) }
    return events + close()
  }

  private mutating func add(_ part: ChatPart) -> [Event] {
    switch part {
    case .content(let text): return extend(.text, text)
    case .reasoning(let text): return extend(.reasoning, text)
    case .call(let name): return begin(.call(id: ToolCallID.make(), name: name))
    case .arguments(let bytes): return isOpen ? more(String(decoding: bytes, as: UTF8.self)) : []
    }
  }

  private mutating func extend(_ kind: ChatBlock.Kind, _ text: String) -> [Event] {
    (isOpen && blocks.last?.kind == kind ? [] : begin(kind)) + more(text)
  }

  private mutating func begin(_ kind: ChatBlock.Kind) -> [Event] {
    let events = close()
    blocks.append(ChatBlock(kind: kind, callNumber: callCount))
    if case .call = kind { callCount += 1 }
    isOpen = true
    return events + [.begin(blocks.count - 1)]
  }

  private mutating func more(_ text: String) -> [Event] {
    blocks[blocks.count - 1].text += text
    return [.more(blocks.count - 1, text)]
  }

  private mutating func close() -> [Event] {
    defer { isOpen = false }
    return isOpen ? [.end(blocks.count - 1)] : []
  }
}

extension ChatTurn.Event {
  fileprivate var index: Int {
    switch self {
    case .begin(let index), .more(let index, _), .end(let index): index
    }
  }
}
