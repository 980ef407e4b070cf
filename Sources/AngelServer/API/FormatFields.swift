import AngelCore
import AngelGrammar
import AngelHCF

/// The fields that say what an answer must be: OpenAI's `response_format`, vLLM's `structured_outputs` and its older names, and
/// llama.cpp's `grammar` and `json_schema`. They mean the same; one of them may be given.
enum FormatFields {
  private static let schema = FieldKind.oneOf([.anyObject, .boolean])
  private static let schemaOrText = FieldKind.oneOf([.anyObject, .boolean, .string])
  private static let choices = FieldKind.array(.string, 1...4096)

  static let all: [RequestField] = [
    RequestField(
      "response_format",
      .object([
        RequestField("type", .choice(["text", "json_object", "json_schema"]), isRequired: true, "what answers are"),
        RequestField(
          "json_schema",
          .object([
            .withoutEffect("name", .string, "schemas are told apart by what they say"),
            .withoutEffect("description", .string, "the model does not see it"),
            RequestField("schema", schema, isRequired: true, "what the answer must be"),
            RequestField("strict", .boolean, "answers keep to the schema either way"),
          ]), "with type json_schema"),
      ]), "what the answer must be: text, a JSON object, or JSON that a schema accepts"),
    RequestField(
      "structured_outputs",
      .object([
        RequestField("json", schemaOrText, "a schema, or its text"),
        RequestField("regex", .string, "an expression that the whole answer matches"),
        RequestField("choice", choices, "texts, one of which is the answer"),
        RequestField("grammar", .string, "a grammar in GBNF"), RequestField("json_object", .boolean, "any JSON object"),
        .refused("structural_tag", "use tools"),
        .refused("whitespace_pattern", "space in JSON is bounded"),
        .refused("disable_any_whitespace", "say so in a grammar", unless: [false]),
        .refused("disable_additional_properties", "schemas say so", unless: [false]),
        .refused("disable_fallback", "there is no fallback", unless: [true]),
      ]), "what the answer must be (vLLM)"),
    RequestField("guided_json", schemaOrText, "structured_outputs.json by its older name (vLLM)"),
    RequestField("guided_regex", .string, "structured_outputs.regex by its older name (vLLM)"),
    RequestField("guided_choice", choices, "structured_outputs.choice by its older name (vLLM)"),
    RequestField("guided_grammar", .string, "structured_outputs.grammar by its older name (vLLM)"),
    RequestField("grammar", .string, "a grammar in GBNF (llama.cpp)"),
    RequestField("json_schema", schema, "a schema (llama.cpp)"),
  ]

  /// A format, and the field that asks for it.
  struct Asked {
    let format: OutputFormat
    let field: String

    /// The constraint for answers of a model, after thoughts where it has some.
    func constraint(
      _ engine: any ServingEngine, after reasoning: ReasoningFormat? = nil
    ) throws -> TokenConstraint {
      do {
        let whole = reasoning.map { OutputFormat.reasoned($0, then: format) } ?? format
        return try engine.constraints.constraint(for: whole)
      } catch let error as GrammarError { throw FormatFields.apiError(error, field: field) }
    }
  }

  /// What a body asks for; nil: any text.
  static func asked(_ body: RequestBody) throws(APIError) -> Asked? {
    var asked: [Asked] = []
    if let format = body.object("response_format") { asked += try responseFormat(format).map { [$0] } ?? [] }
    if let outputs = body.object("structured_outputs") {
      for (name, field) in [
        ("json", "json"), ("regex", "regex"), ("choice", "choice"), ("grammar", "grammar"),
        ("json_object", "json_object"),
      ] {
        if let format = try format(name, outputs[field] ?? .null, "structured_outputs.\(field)") {
          asked.append(format)
        }
      }
    }
    for (name, field) in [
      ("json", "guided_json"), ("regex", "guided_regex"), ("choice", "guided_choice"), ("grammar", "guided_grammar"),
      ("grammar", "grammar"), ("json", "json_schema"),
    ] {
      if let format = try format(name, body[field] ?? .null, field) { asked.append(format) }
    }
    guard asked.count < 2 else {
      throw .invalid(asked[1].field, "and '\(asked[0].field)' both say what the answer must be: give one of them")
    }
    return asked.first
  }

  private static func responseFormat(_ object: JSONObject) throws(APIError) -> Asked? {
    let schema = object["json_schema"]?.object?["schema"]
    switch (object["type"]?.string, schema) {
    case ("json_object", nil): return Asked(format: .jsonObject, field: "response_format")
    case ("json_schema", let schema?):
      return Asked(format: .jsonSchema(schema), field: "response_format.json_schema.schema")
    case ("json_schema", nil):
      throw .invalid("response_format.json_schema", "is missing: type json_schema goes with it")
    case (_, nil): return nil
    default: throw .invalid("response_format.json_schema", "goes with type json_schema")
    }
  }

  private static func format(_ name: String, _ value: JSONValue, _ field: String) throws(APIError) -> Asked? {
    switch (name, value) {
    case (_, .null), ("json_object", .bool(false)): nil
    case ("json", .string(let text)): Asked(format: .jsonSchema(try schema(text, field)), field: field)
    case ("json", _): Asked(format: .jsonSchema(value), field: field)
    case ("json_object", _): Asked(format: .jsonObject, field: field)
    case ("choice", _): Asked(format: .choice(value.array?.compactMap(\.string) ?? []), field: field)
    case ("regex", _): Asked(format: .regularExpression(value.string ?? ""), field: field)
    default: Asked(format: .grammar(value.string ?? ""), field: field)
    }
  }

  private static func schema(_ text: String, _ field: String) throws(APIError) -> JSONValue {
    do throws(JSONError) {
      return try JSONValue(parsing: text.utf8, maximumDepth: 64, refusingEqualKeys: true)
    } catch { throw .invalid(field, "is not JSON: \(error)") }
  }

  /// A grammar's refusal. The parameter names the place in the body, that in a schema as a JSON pointer behind `#`.
  static func apiError(_ error: GrammarError, field: String) -> APIError {
    switch error {
    case .schema(let pointer, _):
      APIError(
        status: 400, "'\(field)': \(error)", parameter: pointer.isEmpty ? field : "\(field)#\(pointer)",
        code: "unsupported_schema")
    case .syntax, .expression, .undefinedRule, .leftRecursion, .endlessRule, .tooLong, .tooLarge, .tooAmbiguous,
      .refusedToken:
      APIError(status: 400, "'\(field)': \(error)", parameter: field, code: "unsupported_grammar")
    }
  }
}
