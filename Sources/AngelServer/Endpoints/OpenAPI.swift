import AngelCore

/// `GET /openapi.json`: this interface, described from the tables that check it (OpenAPI 3.1).
enum OpenAPIEndpoint: Endpoint {
  static let method = HTTPMethod.get
  static let path = "/openapi.json"
  static let summary = "This description"
  static let isOpen = true

  static func respond(_ call: APICall) { call.send { document(version: call.server.options.version) } }

  static func document(version: String) -> JSONValue {
    var paths = JSONObject()
    for endpoint in EndpointCatalog.all {
      var item = paths[endpoint.path]?.object ?? JSONObject()
      item[endpoint.method.rawValue.lowercased()] = operation(endpoint)
      paths[endpoint.path] = .object(item)
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Angel", "version": .string(version),
        "description": "Models served by angel, in OpenAI's interface with vLLM's additions, Anthropic's and Ollama's",
      ], "paths": .object(paths),
      "components": [
        "securitySchemes": [
          "key": ["type": "http", "scheme": "bearer"],
          "keyHeader": ["type": "apiKey", "in": "header", "name": "x-api-key"],
        ],
        "schemas": .object(JSONObject(Dialect.allCases.map { ($0.errorName, $0.errorSchema) })),
      ],
    ]
  }

  private static func operation(_ endpoint: any Endpoint.Type) -> JSONValue {
    let failure: JSONValue = [
      "description": "what went wrong",
      "content": [
        "application/json": [
          "schema": ["$ref": .string("#/components/schemas/" + Dialect(path: endpoint.path).errorName)]
        ]
      ],
    ]
    let types = [endpoint.answerType] + (endpoint.streamType.map { [$0] } ?? [])
    var object = JSONObject([
      ("summary", .string(endpoint.summary)), ("operationId", .string(name(endpoint))),
      (
        "responses",
        [
          "200": ["description": "the answer", "content": .object(JSONObject(types.map { ($0, [:]) }))],
          "default": failure,
        ]
      ),
    ])
    if !endpoint.isOpen { object["security"] = [[:], ["key": []], ["keyHeader": []]] }
    if let brace = endpoint.path.firstIndex(of: "{") {
      object["parameters"] = [
        [
          "name": .string(String(endpoint.path[brace...].dropFirst().dropLast())), "in": "path", "required": true,
          "schema": ["type": "string"],
        ]
      ]
    }
    if endpoint.method == .post {
      object["requestBody"] = [
        "required": true,
        "content": ["application/json": ["schema": FieldKind.object(endpoint.fields).schema(isNullable: false)]],
      ]
    }
    return .object(object)
  }

  private static func name(_ endpoint: any Endpoint.Type) -> String {
    guard endpoint.path != "/" else { return "root" }
    return endpoint.path.split(whereSeparator: { "/{}".contains($0) }).joined(separator: "_").replacing(".", with: "_")
  }
}

extension Dialect {
  fileprivate var errorName: String {
    switch self {
    case .openAI: "Error"
    case .anthropic: "AnthropicError"
    case .ollama: "OllamaError"
    }
  }

  fileprivate var errorSchema: JSONValue {
    let text: JSONValue = ["type": "string"]
    let optional: JSONValue = ["type": ["string", "null"]]
    switch self {
    case .openAI:
      return Self.object(["error": Self.object(["message": text, "type": text, "param": optional, "code": optional])])
    case .anthropic:
      let error = Self.object(["type": text, "message": text])
      return Self.object(["type": ["const": "error"], "error": error, "request_id": text])
    case .ollama: return Self.object(["error": text])
    }
  }

  /// An object that has all of these.
  private static func object(_ properties: KeyValuePairs<String, JSONValue>) -> JSONValue {
    [
      "type": "object", "required": .array(properties.map { .string($0.key) }),
      "properties": .object(JSONObject(properties.map { ($0.key, $0.value) })),
    ]
  }
}

extension FieldKind {
  /// The JSON Schema of this kind; optional fields may be null, which means left out.
  func schema(isNullable: Bool) -> JSONValue {
    var schema = plainSchema
    guard isNullable, case .object(var object) = schema, object["type"] != "null" else { return schema }
    if case .string(let type)? = object["type"] {
      object["type"] = [.string(type), "null"]
      if case .array(let values)? = object["enum"] { object["enum"] = .array(values + [nil]) }
      schema = .object(object)
    } else {
      schema = ["anyOf": [schema, ["type": "null"]]]
    }
    return schema
  }

  private var plainSchema: JSONValue {
    switch self {
    case .boolean: ["type": "boolean"]
    case .integer(let range):
      ["type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)]
    case .number(let range):
      ["type": "number", "minimum": .number(range.lowerBound), "maximum": .number(range.upperBound)]
    case .string: ["type": "string"]
    case .choice(let names): ["type": "string", "enum": .array(names.map { .string($0) })]
    case .array(let kind, let range):
      [
        "type": "array", "items": kind.schema(isNullable: false), "minItems": .integer(range.lowerBound),
        "maxItems": .integer(range.upperBound),
      ]
    case .object(let fields): Self.objectSchema(fields)
    case .variants(let variants, let mayLackType):
      [
        "anyOf": .array(
          variants.filter { $0.refusal == nil }.map { Self.objectSchema($0.fields(mayLackType: mayLackType)) })
      ]
    case .map(let kind, let limit):
      ["type": "object", "additionalProperties": kind.schema(isNullable: false), "maxProperties": .integer(limit)]
    case .oneOf(let kinds): ["anyOf": .array(kinds.map { $0.schema(isNullable: false) })]
    case .anyObject: ["type": "object"]
    case .fixed(let values): ["enum": .array(values)]
    case .nothing: ["type": "null"]
    }
  }

  private static func objectSchema(_ fields: [RequestField]) -> JSONValue {
    var properties = JSONObject()
    for field in fields {
      guard case .object(var schema) = field.kind.schema(isNullable: !field.isRequired) else { continue }
      schema["description"] = .string(field.help)
      properties[field.name] = .object(schema)
    }
    return [
      "type": "object", "properties": .object(properties), "additionalProperties": false,
      "required": .array(fields.filter(\.isRequired).map { .string($0.name) }),
    ]
  }
}
