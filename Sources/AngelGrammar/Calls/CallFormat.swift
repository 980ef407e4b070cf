public import AngelCore

/// Calls of functions, as a family of models writes them: each is a JSON object with a name and arguments, between an opener
/// and a closer, or all are in one JSON array between them.
public struct CallFormat: Hashable, Sendable {
  /// A function that may be called.
  public struct Function: Hashable, Sendable {
    public var name: String
    /// The JSON Schema of its arguments; nil: any object.
    public var parameters: JSONValue?

    public init(name: String, parameters: JSONValue?) {
      self.name = name
      self.parameters = parameters
    }
  }

  public var functions: [Function]
  /// What stands before the first call (perhaps with space behind it), after the last, and between two.
  public var opener: String
  public var closer: String
  public var separator: String
  /// Whether the calls are an array.
  public var isList: Bool
  /// The key of the arguments.
  public var argumentsKey: String
  public var allowsSeveral: Bool
  /// Whether a text may come before the calls, or instead of them.
  public var allowsText: Bool

  public init(
    _ functions: [Function], opener: String, closer: String, separator: String, isList: Bool, argumentsKey: String,
    allowsSeveral: Bool, allowsText: Bool
  ) {
    self.functions = functions
    self.opener = opener
    self.closer = closer
    self.separator = separator
    self.isList = isList
    self.argumentsKey = argumentsKey
    self.allowsSeveral = allowsSeveral
    self.allowsText = allowsText
  }

  /// Throws `GrammarError.schema` with a pointer that begins with the function's position.
  func grammar() throws(GrammarError) -> Grammar {
    var text = JSONText()
    var calls: [GrammarExpression] = []
    for (index, function) in functions.enumerated() {
      calls.append(.rule(text.add("call of \(function.name)", try call(function, index, &text))))
    }
    let call = GrammarExpression.rule(text.add("call", .choice(calls)))
    var all = isList ? JSONText.array([JSONText.list(call, min: 1, max: allowsSeveral ? nil : 1)]) : call
    if !isList, allowsSeveral {
      all = .sequence([call, GrammarExpression.sequence([.text(separator), call]).anyNumber])
    }
    let block = text.add("calls", .sequence([.text(opener), JSONText.space, all, .text(closer)]))
    guard allowsText else {
      text.setRoot(block)
      return text.grammar
    }
    var grammar = text.grammar
    let rest = grammar.add("rest of calls", .sequence([JSONText.space, all, .text(closer)]))
    grammar.root = FreeText(upTo: opener).addRules(to: &grammar, followedBy: .rule(rest), mayEnd: true)
    return grammar
  }

  private func call(
    _ function: Function, _ index: Int, _ text: inout JSONText
  ) throws(GrammarError) -> GrammarExpression {
    var arguments = GrammarExpression.rule(text.object)
    if let parameters = function.parameters {
      var compiler = SchemaCompiler(parameters, text: text)
      do throws(GrammarError) {
        arguments = .rule(try compiler.rule(parameters, "", name: "arguments of \(function.name)"))
      } catch {
        guard case .schema(let pointer, let reason) = error else { throw error }
        throw .schema(pointer: "/\(index)\(pointer)", reason: reason)
      }
      text = compiler.text
    }
    return JSONText.object([
      JSONText.key("name"), .text(JSONValue.string(function.name).encoded()), JSONText.comma,
      JSONText.key(argumentsKey), arguments,
    ])
  }
}
