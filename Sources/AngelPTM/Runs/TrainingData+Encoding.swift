import AngelData
public import AngelText

extension TrainingData {
  /// What turns texts and conversations into tokens.
  public struct Encoding: Sendable {
    public let tokenizer: Tokenizer
    public let template: ChatTemplate?
    /// The tokens that end an answer.
    public let endTokens: Set<Int32>

    public init(tokenizer: Tokenizer, template: ChatTemplate?, endTokens: Set<Int32>) {
      self.tokenizer = tokenizer
      self.template = template
      self.endTokens = endTokens
    }

    /// Encodes conversations; nil without a chat template.
    func conversationEncoder() throws -> ConversationEncoder? {
      try template.map { try ConversationEncoder(tokenizer: tokenizer, template: $0, endTokens: endTokens) }
    }

    /// Encodes the texts of plain rows.
    func textTokens(_ data: DataConfiguration) -> TextTokens {
      TextTokens(tokenizer, endToken: data.endsTexts ? tokenizer.endToken : nil, key: data.textKey)
    }

    /// A prompt as the stage's data have it: a text to go on with, or a question to answer.
    func promptTokens(_ prompt: String, isQuestion: Bool) throws -> [Int32] {
      if isQuestion, let encoder = try conversationEncoder() {
        return try encoder.promptTokens([ChatMessage(role: "user", prompt)])
      }
      return try tokenizer.encode(prompt, addingSpecialTokens: true, parsingSpecialTokens: true)
    }
  }
}
