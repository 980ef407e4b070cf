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

  /// About the bytes of what it says.
  public var byteCount: Int {
    switch self {
    case .jsonObject: 0
    case .jsonSchema(let schema): schema.encoded().utf8.count
    case .regularExpression(let text), .grammar(let text): text.utf8.count
    case .choice(let texts): texts.reduce(0) { $0 + $1.utf8.count }
    case .calls(let format):
      format.functions.reduce(0) { $0 + $1.name.utf8.count + ($1.parameters?.encoded().utf8.count ?? 0) }
    case .reasoned(_, let answer): answer.byteCount
    }
  }

  /// The most bytes that a format may have.
  public static let byteLimit = 1 << 20

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
