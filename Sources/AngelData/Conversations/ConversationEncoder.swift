import AngelCore
public import AngelText

/// Conversations to tokens, with a loss weight for each.
///
/// Turns are encoded as they will be when the model is asked: the prompt up to where the assistant begins to speak, then
/// the answer by itself, so that what is learnt is what is generated. A turn's learnt part ends with its end token; what
/// the template writes after it (a line end, usually) is read but not learnt.
public struct ConversationEncoder: Sendable {
  private let tokenizer: Tokenizer
  private let template: ChatTemplate
  private let endTokens: Set<Int32>
  private let beginText: String
  private let endText: String

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
  }

  /// The tokens of `conversation`; throws when the template refuses it or does not write turn after turn.
  public func encode(_ conversation: Conversation, at place: String) throws -> TokenSample {
    var sample = TokenSample()
    var written = ""
    let messages = conversation.messages
    for index in messages.indices where conversation.weights[index] != 0 {
      let isAnswer = messages[index].role == "assistant"
      let prompt = try render(messages[..<index], conversation.tools, asksForAnswer: isAnswer, place)
      let whole = try render(messages[...index], conversation.tools, asksForAnswer: false, place)
      let context = try rest(of: prompt, after: written, place, index)
      let answer = try rest(of: whole, after: prompt, place, index)
      sample.append(try tokens(context), weight: 0)
      appendAnswer(try tokens(answer), weight: conversation.weights[index], to: &sample)
      written = whole
    }
    return sample
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
        endToken: endText)
    } catch { throw DataError.row(place: place, reason: "the chat template refuses the row: \(error)") }
  }

  /// What `text` says after `start`.
  private func rest(of text: String, after start: String, _ place: String, _ index: Int) throws -> String {
    guard text.utf8.starts(with: start.utf8) else {
      throw DataError.row(
        place: place,
        reason: "the chat template rewrites earlier turns when turn \(index + 1) is added, so answers cannot be told "
          + "from prompts; give only one answer a row, or another chat_template")
    }
    return String(decoding: Array(text.utf8.dropFirst(start.utf8.count)), as: UTF8.self)
  }
}
