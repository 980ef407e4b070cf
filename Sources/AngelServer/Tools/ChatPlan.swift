import AngelCore
import AngelGrammar
import AngelHCF
import AngelText

/// What a chat request makes of a model's template: the prompt, what answers must be, and what is told apart in them.
struct ChatPlan {
  var tokens: [Int32]
  var constraint: TokenConstraint?
  var shownTokens: Set<Int32> = []
  var reading = ChatReading()

  /// Throws `APIError` naming the field that the model's template or the grammars cannot serve.
  init(_ body: RequestBody, _ engine: any ServingEngine) throws {
    let asked = try FormatFields.asked(body)
    let tools = try ToolRequest.read(body)
    let template = engine.chatTemplate?.source ?? ""
    let prompt = try ChatMessages.prompt(body, engine, tools: tools?.json)
    tokens = prompt.tokens
    reading.reasoning = ReasoningFormat.find(in: template, prompt: prompt.text)
    if let tools {
      if let asked {
        throw APIError.invalid(asked.field, "beside tools is not supported: use \"tool_choice\": \"none\"")
      }
      try use(tools, template, engine)
    }
    if let asked { constraint = try asked.constraint(engine, after: reading.reasoning) }
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
