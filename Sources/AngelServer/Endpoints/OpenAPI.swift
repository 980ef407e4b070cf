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
        "description": "Models served by angel, in OpenAI's interface with vLLM's additions",
      ], "paths": .object(paths),
      "components": [
        "securitySchemes": ["key": ["type": "http", "scheme": "bearer"]],
        "schemas": ["Error": errorSchema],
      ],
    ]
  }

  private static func operation(_ endpoint: any Endpoint.Type) -> JSONValue {
    let failure: JSONValue = [
      "description": "what went wrong",
      "content": ["application/json": ["schema": ["$ref": "#/components/schemas/Error"]]],
    ]
    var object = JSONObject([
      ("summary", .string(endpoint.summary)), ("operationId", .string(name(endpoint))),
      (
        "responses",
        [
          "200": ["description": "the answer", "content": .object(JSONObject([(endpoint.answerType, [:])]))],
          "default": failure,
        ]
      ),
    ])
    if !endpoint.isOpen { object["security"] = [[:], ["key": []]] }
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
    endpoint.path.split(whereSeparator: { "/{}".contains($0) }).joined(separator: "_").replacing(".", with: "_")
  }

  private static let errorSchema: JSONValue = [
    "type": "object", "required": ["error"],
    "properties": [
      "error": [
        "type": "object", "required": ["message", "type", "param", "code"],
        "properties": [
          "message": ["type": "string"], "type": ["type": "string"], "param": ["type": ["string", "null"]],
          "code": ["type": ["string", "null"]],
        ],
      ]
    ],
  ]
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
