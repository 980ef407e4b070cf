import AngelCore

/// The keywords of JSON Schema (draft 2020-12, and those of older drafts and OpenAPI that mean the same) that are honoured or
/// say nothing about values. All others are refused.
enum SchemaKeyword {
  /// What a keyword's value must be.
  enum Form {
    case anything, text, texts, flag, count, number, schema, schemas, namedSchemas, types, values
  }

  static let honoured: [String: Form] = [
    "type": .types, "nullable": .flag, "enum": .values, "const": .anything,
    "properties": .namedSchemas, "required": .texts, "additionalProperties": .schema,
    "items": .schema, "prefixItems": .schemas, "minItems": .count, "maxItems": .count,
    "minLength": .count, "maxLength": .count, "pattern": .text, "format": .text,
    "minimum": .number, "maximum": .number, "exclusiveMinimum": .number, "exclusiveMaximum": .number,
    "anyOf": .schemas, "oneOf": .schemas, "allOf": .schemas, "$ref": .text,
    // Read where a $ref points there.
    "$defs": .anything, "definitions": .anything,
  ]

  /// What describes a schema and leaves values as they are.
  static let annotations: Set<String> = [
    "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$schema", "$id",
    "$comment", "$anchor", "discriminator", "externalDocs", "xml", "contentEncoding", "contentMediaType",
  ]

  static func isAnnotation(_ name: String) -> Bool { annotations.contains(name) || name.hasPrefix("x-") }

  /// Keywords that have no effect with these values.
  static func isWithoutEffect(_ name: String, _ value: JSONValue) -> Bool {
    switch name {
    case "uniqueItems": value == false
    case "minProperties", "minContains": value.integer == 0
    default: false
    }
  }

  /// The type of values that each keyword is about; others are about all.
  static let types: [String: String] = [
    "properties": "object", "required": "object", "additionalProperties": "object",
    "items": "array", "prefixItems": "array", "minItems": "array", "maxItems": "array",
    "minLength": "string", "maxLength": "string", "pattern": "string", "format": "string",
    "minimum": "number", "maximum": "number", "exclusiveMinimum": "number", "exclusiveMaximum": "number",
  ]

  /// Checks the keywords of one schema. Throws `GrammarError.schema` with the pointer of the one that is wrong.
  static func check(_ schema: JSONValue, at pointer: String) throws(GrammarError) {
    if case .bool = schema { return }
    guard let object = schema.object else {
      throw .schema(pointer: pointer, reason: "a schema must be an object or a boolean, not \(schema.kind)")
    }
    for member in object.members where !isAnnotation(member.key) && !isWithoutEffect(member.key, member.value) {
      let place = pointer + "/" + JSONPointer.escaped(member.key)
      guard let form = honoured[member.key] else {
        throw .schema(pointer: place, reason: "keyword '\(member.key)' is not supported")
      }
      guard form.isMet(by: member.value) else {
        throw .schema(pointer: place, reason: "'\(member.key)' must be \(form.words), not \(member.value.kind)")
      }
    }
  }
}

extension SchemaKeyword.Form {
  fileprivate func isMet(by value: JSONValue) -> Bool {
    switch self {
    case .anything: true
    case .text: value.string != nil
    case .texts: value.array?.allSatisfy { $0.string != nil } == true
    case .flag: value.bool != nil
    case .count: value.integer.map { $0 >= 0 } == true
    case .number: value.double != nil
    case .schema: value.object != nil || value.bool != nil
    case .schemas: value.array?.isEmpty == false
    case .namedSchemas: value.object != nil
    case .types: value.string != nil || value.array?.allSatisfy { $0.string != nil } == true
    case .values: value.array?.isEmpty == false
    }
  }

  fileprivate var words: String {
    switch self {
    case .anything: "any value"
    case .text: "a string"
    case .texts: "an array of strings"
    case .flag: "true or false"
    case .count: "an integer of at least 0"
    case .number: "a number"
    case .schema: "a schema"
    case .schemas: "an array of schemas"
    case .namedSchemas: "an object of schemas"
    case .types: "the name of a type, or an array of names"
    case .values: "an array of values, at least one"
    }
  }
}

/// Places in a JSON document (RFC 6901).
enum JSONPointer {
  static func escaped(_ key: String) -> String {
    guard key.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else { return key }
    return key.reduce(into: "") { $0 += $1 == "~" ? "~0" : $1 == "/" ? "~1" : String($1) }
  }

  /// The value at a place; nil: there is none.
  static func value(at pointer: some StringProtocol, in document: JSONValue) -> JSONValue? {
    guard !pointer.isEmpty else { return document }
    guard pointer.first == "/" else { return nil }
    var place = document
    for part in pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      let key = unescaped(part)
      switch place {
      case .object(let object):
        guard let value = object[key] else { return nil }
        place = value
      case .array(let values):
        guard let index = Int(key), values.indices.contains(index) else { return nil }
        place = values[index]
      default: return nil
      }
    }
    return place
  }

  private static func unescaped(_ part: some StringProtocol) -> String {
    var result = ""
    var isEscaped = false
    for character in part {
      if isEscaped {
        result += character == "1" ? "/" : character == "0" ? "~" : "~\(character)"
        isEscaped = false
      } else if character == "~" {
        isEscaped = true
      } else {
        result.append(character)
      }
    }
    return result
  }
}
