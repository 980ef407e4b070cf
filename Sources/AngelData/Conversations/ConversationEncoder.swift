import AngelCore
public import AngelText

/// Conversations to tokens, with a loss weight for each.
///
/// Turns are encoded as they will be when the model is asked: the prompt up to where the assistant begins to speak, then
/// the answer by itself, so that what is learnt is what is generated (of a tokenizer that puts a space before a text, what
/// the whole has after the prompt). A turn's learnt part ends with its end token; what
/// the template writes after it (a line end, usually) is read but not learnt.
public struct ConversationEncoder: Sendable {
  private let tokenizer: Tokenizer
  private let template: ChatTemplate
  private let endTokens: Set<Int32>
  private let beginText: String
  private let endText: String
  /// Whether parts of a text encoded one by one are the text: not so where a space is put before every text.
  private let encodesParts: Bool

  /// The day that templates which write one read, 26 July 2024, the one that Llama 3's falls back to: a run that is taken
  /// up tomorrow must have the same tokens.
  private static let moment = 1_721_952_000

  /// - Parameter endTokens: the tokens that end an answer.
  public init(tokenizer: Tokenizer, template: ChatTemplate, endTokens: Set<Int32>) throws {
    self.tokenizer = tokenizer
    self.template = template
    self.endTokens = endTokens
    func text(_ token: Int32?) throws -> String {
      try token.map { String(decoding: try tokenizer.bytes(of: $0), as: UTF8.self) } ?? ""
    }
    beginText = try text(tokenizer.beginToken)
    endText = try text(tokenizer.endToken)
    func encoded(_ text: String) throws -> [Int32] {
      try tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: true)
    }
    encodesParts = try encoded("\nx") == encoded("\n") + encoded("x")
  }

  /// A row of a file as samples, and the layout it has.
  public struct Row: Sendable {
    public var samples: [TokenSample]
    public var layout: ConversationLayout
  }

  /// The conversation that a row of a file holds, in the given layout or the one its keys tell.
  public func encode(_ record: Record, _ layout: ConversationLayout?) throws -> Row {
    let (row, place) = (try record.row(), record.place)
    let layout = try layout ?? ConversationLayout.detect(row, at: place)
    return Row(samples: try encode(layout.conversation(row, at: place), at: place), layout: layout)
  }

  /// The tokens of `conversation`: one sample, or several where the template writes earlier turns otherwise once a turn
  /// is added, as those do that drop earlier thoughts. Then a further sample begins at that turn, with all before it as
  /// context, so that every answer is learnt once, after what it will follow when the model is asked.
  ///
  /// Throws when the template refuses the row, or writes an answer otherwise than after the prompt for it.
  public func encode(_ conversation: Conversation, at place: String) throws -> [TokenSample] {
    var samples = [TokenSample()]
    var written = ""
    let messages = conversation.messages
    for index in messages.indices where conversation.weights[index] != 0 {
      let isAnswer = messages[index].role == "assistant"
      let prompt = try render(messages[..<index], conversation.tools, asksForAnswer: isAnswer, place)
      let whole = try render(messages[...index], conversation.tools, asksForAnswer: false, place)
      if !prompt.utf8.starts(with: written.utf8) {
        samples.append(TokenSample())
        written = ""
      }
      let sample = samples.count - 1
      try requireCalls(of: messages[index], in: whole.utf8.dropFirst(prompt.utf8.count), index, place)
      guard whole.utf8.starts(with: prompt.utf8) else {
        throw DataError.row(
          place: place,
          reason: "the chat template does not write turn \(index + 1) after the prompt that asks for it, so the answer "
            + "cannot be told from the prompt; use another chat_template")
      }
      let (context, answer) =
        encodesParts
        ? (try tokens(prompt, after: written), try tokens(whole, after: prompt))
        : try parts(of: tokens(whole), prompt: tokens(prompt), after: samples[sample].tokens)
      samples[sample].append(context, weight: 0)
      appendAnswer(answer, weight: conversation.weights[index], to: &samples[sample])
      written = whole
    }
    return samples
  }

  /// A template that knows no tools would have the model learn to say nothing.
  private func requireCalls(
    of message: ChatMessage, in answer: Substring.UTF8View, _ index: Int, _ place: String
  ) throws {
    for call in message.toolCalls {
      guard let name = (call["function"] ?? call)["name"]?.string, !answer.contains(name.utf8) else { continue }
      throw DataError.row(
        place: place,
        reason: "the chat template does not write the call of \(quoted(name)) in turn \(index + 1); "
          + "train a model whose template knows tools, or leave rows with calls out")
    }
  }

  /// The tokens after which a model answers `messages`: what `encode` has before an answer.
  public func promptTokens(_ messages: [ChatMessage]) throws -> [Int32] {
    try tokens(render(messages[...], nil, asksForAnswer: true, "a prompt"))
  }

  private func appendAnswer(_ tokens: [Int32], weight: Float, to sample: inout TokenSample) {
    let learnt = tokens.lastIndex(where: endTokens.contains).map { $0 + 1 } ?? tokens.count
    sample.append(Array(tokens[..<learnt]), weight: weight)
    sample.append(Array(tokens[learnt...]), weight: 0)
  }

  /// What `whole` has after the tokens `start` up to the end of `prompt`, and after it. Where a token lies across the border
  /// it belongs to the answer.
  private func parts(
    of whole: [Int32], prompt: [Int32], after start: [Int32]
  ) -> (context: [Int32], answer: [Int32]) {
    let shared = zip(whole, prompt).prefix { $0 == $1 }.count
    let begin = min(start.count, whole.count)
    let end = max(begin, shared)
    return (Array(whole[begin..<end]), Array(whole[end...]))
  }

  private func tokens(_ text: String) throws -> [Int32] {
    try tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: true)
  }

  private func render(
    _ messages: ArraySlice<ChatMessage>, _ tools: [JSONValue]?, asksForAnswer: Bool, _ place: String
  ) throws -> String {
    guard !messages.isEmpty else { return "" }
    do {
      return try template.render(
        messages: Array(messages), tools: tools, addsGenerationPrompt: asksForAnswer, beginToken: beginText,
        endToken: endText, now: Self.moment)
    } catch { throw DataError.row(place: place, reason: "the chat template refuses the row: \(error)") }
  }

  /// The tokens of what `text` says after `start`, with which it begins.
  private func tokens(_ text: String, after start: String) throws -> [Int32] {
    try tokens(String(decoding: Array(text.utf8.dropFirst(start.utf8.count)), as: UTF8.self))
  }
}
