public import AngelCore

/// What an answer must be, as requests say it.
public indirect enum OutputFormat: Hashable, Sendable {
  /// Any JSON object.
  case jsonObject
  /// JSON that a schema accepts.
  case jsonSchema(JSONValue)
  /// A text that matches a regular expression as a whole.
  case regularExpression(String)
  /// One of these texts.
  case choice([String])
  /// A text of a grammar in GBNF.
  case grammar(String)
  /// Calls of functions.
  case calls(CallFormat)
  /// Thoughts, then an answer.
  case reasoned(ReasoningFormat, then: OutputFormat)

  /// The format as a grammar. Throws `GrammarError` naming the place that is wrong or not supported.
  public func makeGrammar() throws(GrammarError) -> Grammar {
    switch self {
    case .jsonObject:
      var text = JSONText()
      text.setRoot(text.object)
      return text.grammar
    case .jsonSchema(let schema): return try SchemaCompiler.grammar(of: schema)
    case .regularExpression(let expression):
      return Grammar(try RegularExpressionParser.parse(expression).whole.expression())
    case .choice(let texts): return Grammar(.choice(texts.map { .text($0) }))
    case .grammar(let text): return try GBNFParser.parse(text)
    case .calls(let format): return try format.grammar()
    case .reasoned(let reasoning, let answer): return reasoning.before(try answer.makeGrammar())
    }
  }
}
