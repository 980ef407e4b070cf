import AngelCore
import AngelGrammar

/// The tools of a chat request, and how they may be used.
struct ToolRequest: Sendable {
  enum Choice: Equatable, Sendable {
    case auto, required
    case named(String)
  }

  /// A function the model may call.
  struct Tool: Sendable {
    let name: String
    let parameters: JSONValue?
    /// Whether calls that the model makes of its own accord keep to the parameters' schema too.
    let isStrict: Bool
  }

  /// Where a dialect has the parts of a tool, and the name of the one to call; for errors.
  struct Paths: Sendable {
    var name = "function.name"
    var parameters = "function.parameters"
    var strict = "function.strict"
    var chosen = "tool_choice.function.name"
    /// The field that asks for one call at most.
    var single = "parallel_tool_calls"
  }

  let tools: [Tool]
  /// The tools as OpenAI's chat has them, for the chat template.
  let json: [JSONValue]
  let choice: Choice
  let allowsSeveral: Bool
  private let paths: Paths

  var names: Set<String> { Set(tools.map(\.name)) }

  static let fields: [RequestField] = [
    RequestField(
      "tools",
      .array(
        .object([
          RequestField("type", .choice(["function"]), isRequired: true, "functions"),
          RequestField(
            "function",
            .object([
              RequestField("name", .string, isRequired: true, "what calls name it by"),
              RequestField("description", .string, "what it is for, for the model"),
              RequestField("parameters", .anyObject, "a JSON Schema of its arguments"),
              RequestField("strict", .boolean, "calls keep to the schema even where none has to be made"),
            ]), isRequired: true, "the function"),
        ]), 0...1024), "functions that the model may call, where its template knows how"),
    RequestField(
      "tool_choice",
      .oneOf([
        .choice(["none", "auto", "required"]),
        .object([
          RequestField("type", .choice(["function"]), isRequired: true, "functions"),
          RequestField(
            "function", .object([RequestField("name", .string, isRequired: true, "the function to call")]),
            isRequired: true, "the function to call"),
        ]),
      ]), "whether a tool must be called, and which; default auto"),
    RequestField("parallel_tool_calls", .boolean, "whether several calls may be made at once; default true"),
  ]

  /// The tools that a model may use.
  ///
  /// - Parameters:
  ///   - json: the tools as OpenAI's chat has them.
  ///   - choice: nil: none is to be called.
  /// - Returns: nil where there is none to call.
  static func make(
    _ json: [JSONValue], choice: Choice?, allowsSeveral: Bool, paths: Paths = Paths()
  ) throws(APIError) -> ToolRequest? {
    var tools: [Tool] = []
    for (index, value) in json.enumerated() {
      let function = value["function"]
      let name = function?["name"]?.string ?? ""
      let path = "tools[\(index)].\(paths.name)"
      guard !name.isEmpty, name.utf8.count <= 64, name.utf8.allSatisfy(isInName) else {
        throw .invalid(path, "must be 1 to 64 letters, digits, '_', '-' or '.'")
      }
      guard !tools.contains(where: { $0.name == name }) else { throw .invalid(path, "'\(name)' is there twice") }
      let parameters = function?["parameters"]?.object.map { JSONValue.object($0) }
      tools.append(Tool(name: name, parameters: parameters, isStrict: function?["strict"]?.bool ?? false))
    }
    switch choice {
    case .named(let name)? where !tools.contains { $0.name == name }:
      throw .invalid(paths.chosen, "names '\(name.prefix(80))', which is not among the tools")
    case .required? where tools.isEmpty: throw .invalid("tool_choice", "asks for a call, and there are no tools")
    default: break
    }
    guard !tools.isEmpty, let choice else { return nil }
    return ToolRequest(tools: tools, json: json, choice: choice, allowsSeveral: allowsSeveral, paths: paths)
  }

  /// The tools that a body with OpenAI's fields lets the model use; nil: none.
  static func read(_ body: RequestBody) throws(APIError) -> ToolRequest? {
    let choice: Choice?
    switch (body.object("tool_choice")?["function"]?["name"]?.string, body.string("tool_choice")) {
    case (let name?, _): choice = .named(name)
    case (nil, "none"?): choice = nil
    case (nil, "required"?): choice = .required
    default: choice = .auto
    }
    return try make(
      body.array("tools") ?? [], choice: choice, allowsSeveral: body.flag("parallel_tool_calls") ?? true)
  }

  private static func isInName(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."): true
    default: false
    }
  }

  /// The calls an answer must or may have; nil: the model decides, and nothing has to hold.
  func format(_ syntax: ToolCallSyntax) throws(APIError) -> OutputFormat? {
    func functions(_ tools: [Tool], onlyStrict: Bool) -> [CallFormat.Function] {
      tools.map { CallFormat.Function(name: $0.name, parameters: onlyStrict && !$0.isStrict ? nil : $0.parameters) }
    }
    switch choice {
    case .named(let name):
      let tool = tools.filter { $0.name == name }
      return .calls(syntax.format(functions(tool, onlyStrict: false), allowsSeveral: false, allowsText: false))
    case .required:
      let all = functions(tools, onlyStrict: false)
      return .calls(syntax.format(all, allowsSeveral: allowsSeveral, allowsText: false))
    case .auto:
      let strict = tools.firstIndex(where: \.isStrict)
      if strict == nil, allowsSeveral { return nil }
      guard !syntax.opensWithToken else {
        throw .invalid(
          strict.map { "tools[\($0)].\(paths.strict)" } ?? paths.single,
          "is supported for this model only where a tool must be called: say so in tool_choice")
      }
      let all = functions(tools, onlyStrict: true)
      return .calls(syntax.format(all, allowsSeveral: allowsSeveral, allowsText: true))
    }
  }

  /// A grammar's refusal, with the place in the parameters of the tool it is about.
  func apiError(_ error: GrammarError) -> APIError {
    guard case .schema(let pointer, let reason) = error else { return FormatFields.apiError(error, field: "tools") }
    let parts = pointer.dropFirst().split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let position = parts.first.flatMap { Int($0) } ?? 0
    var index = position
    if case .named(let name) = choice { index = tools.firstIndex { $0.name == name } ?? position }
    let inside = parts.count > 1 ? "/" + parts[1] : ""
    return FormatFields.apiError(
      .schema(pointer: inside, reason: reason), field: "tools[\(index)].\(paths.parameters)")
  }
}
