import AngelCore
import AngelGrammar
import AngelHCF
import AngelText

/// A conversation that is to go on, whichever dialect asks for it.
struct ChatRequest: Sendable {
  var messages: [ChatMessage]
  var tools: ToolRequest?
  /// What the answer must be; nil: anything.
  var format: FormatFields.Asked?
  /// Further variables of the model's chat template.
  var templateValues = JSONObject()
  /// Whether the prompt ends where the assistant begins.
  var addsGenerationPrompt = true
  /// The field that has the conversation, for errors.
  var field = "messages"
  /// What to ask instead where the model has no chat template.
  var remedy = "use /v1/completions"
}

/// What a chat request makes of a model's template: the prompt, what answers must be, and what is told apart in them.
struct ChatPlan: Sendable {
  var tokens: [Int32]
  var constraint: TokenConstraint?
  var shownTokens: Set<Int32> = []
  var reading = ChatReading()
  /// The field that has the conversation, for errors.
  let field: String

  /// A text that goes on as it is.
  init(tokens: [Int32], constraint: TokenConstraint?, field: String) {
    self.tokens = tokens
    self.constraint = constraint
    self.field = field
  }

  /// Throws `APIError` naming the field that the model's template or the grammars cannot serve.
  init(_ request: ChatRequest, _ engine: any ServingEngine) throws {
    let template = engine.chatTemplate?.source ?? ""
    let prompt = try ChatMessages.prompt(request, engine)
    tokens = prompt.tokens
    field = request.field
    reading.reasoning = ReasoningFormat.find(in: template, prompt: prompt.text)
    if let tools = request.tools {
      if let format = request.format {
        throw APIError.invalid(format.field, "beside tools is not supported: let none be chosen")
      }
      try use(tools, template, engine)
    }
    if let format = request.format { constraint = try format.constraint(engine, after: reading.reasoning) }
  }

  private mutating func use(_ tools: ToolRequest, _ template: String, _ engine: any ServingEngine) throws {
    guard let syntax = ToolCallSyntax.find(in: template) else {
      throw APIError.invalid(
        "tools", "cannot be used: this model's chat template takes none, or writes calls in a way that is not known",
        code: "unsupported_parameter")
    }
    reading.syntax = syntax
    reading.names = tools.names
    let opener = syntax.opensWithToken ? engine.tokenizer.token(named: syntax.opener) : nil
    if let opener { shownTokens.insert(opener) }
    guard let format = try tools.format(syntax) else { return }
    do {
      let whole = reading.reasoning.map { OutputFormat.reasoned($0, then: format) } ?? format
      constraint = try engine.constraints.constraint(for: whole)
    } catch let error as GrammarError { throw tools.apiError(error) }
    if tools.choice != .auto, syntax.opensWithToken, !syntax.isBare {
      // No text spells the opener, so it stands in the prompt.
      tokens +=
        try opener.map { [$0] } ?? engine.tokenizer.encode(syntax.opener, addingSpecialTokens: false)
      reading.hasOpened = true
    }
  }
}
