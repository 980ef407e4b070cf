import AngelCore

extension SchemaCompiler {
  /// A schema with what its `$ref` and `allOf` say beside its own keywords.
  mutating func flattened(
    _ schema: JSONObject, _ pointer: String, depth: Int
  ) throws(GrammarError) -> JSONObject {
    try note(pointer, depth)
    try countWork(pointer)
    var result = schema
    if let reference = schema["$ref"]?.string {
      result["$ref"] = nil
      let place = pointer + "/$ref"
      let target = try target(of: reference, place)
      result = try merged(result, target.schema, place, target.pointer, depth: depth)
    }
    if let parts = schema["allOf"]?.array {
      result["allOf"] = nil
      for (index, part) in parts.enumerated() {
        let place = "\(pointer)/allOf/\(index)"
        result = try merged(result, part, place, place, depth: depth)
      }
    }
    return result
  }

  /// What both schemas say; the second stands at `origin`.
  private mutating func merged(
    _ first: JSONObject, _ second: JSONValue, _ pointer: String, _ origin: String, depth: Int
  ) throws(GrammarError) -> JSONObject {
    try SchemaKeyword.check(second, at: origin)
    guard let object = second.object else {
      guard second == true else { throw .schema(pointer: pointer, reason: "it allows no value") }
      return first
    }
    let other = try flattened(object.withoutAnnotations, origin, depth: depth + 1)
    try checkExtras(first, other, pointer)
    var result = first
    for member in other.members {
      guard let own = result[member.key], own != member.value else {
        result[member.key] = member.value
        continue
      }
      guard let both = SchemaMerging.merge(member.key, own, member.value) else {
        throw .schema(
          pointer: pointer, reason: "'\(member.key)' here and beside it cannot be combined: say it in one place")
      }
      result[member.key] = both
    }
    // A schema that does not say so allows no null.
    if first["nullable"] != other["nullable"] { result["nullable"] = nil }
    return result
  }

  /// `additionalProperties` looks at the properties beside it alone, `items` at the elements after the prefix beside it, which
  /// after merging they would not.
  private func checkExtras(_ first: JSONObject, _ second: JSONObject, _ pointer: String) throws(GrammarError) {
    for (one, other) in [(first, second), (second, first)] {
      if let items = one["items"], items != true, one["prefixItems"] == nil, other["prefixItems"] != nil {
        throw .schema(
          pointer: pointer,
          reason: "'items' is about the 'prefixItems' of the other schema too: say all of it in one place")
      }
      guard let extra = one["additionalProperties"], extra != true else { continue }
      let known = Set(one["properties"]?.object?.members.map(\.key) ?? [])
      let names = other["properties"]?.object?.members.map(\.key) ?? []
      guard names.allSatisfy(known.contains) else {
        throw .schema(
          pointer: pointer,
          reason: "'additionalProperties' does not see the properties of the other schema: say all of it in one place")
      }
    }
  }

  /// One of several schemas, each together with the keywords beside them.
  mutating func choice(
    _ alternatives: [JSONValue], _ keyword: String, _ schema: JSONObject, _ pointer: String, depth: Int
  ) throws(GrammarError) -> GrammarExpression {
    var base = schema
    base[keyword] = nil
    var results: [GrammarExpression] = []
    var read: [JSONObject] = []
    for (index, alternative) in alternatives.enumerated() {
      let place = "\(pointer)/\(keyword)/\(index)"
      if keyword == "oneOf" {
        try SchemaKeyword.check(alternative, at: place)
        read.append(try flattened(alternative.object?.withoutAnnotations ?? JSONObject(), place, depth: depth + 1))
      }
      if base.members.isEmpty {
        results.append(try expression(alternative, place, depth: depth + 1))
      } else {
        let both = try merged(base, alternative, place, place, depth: depth)
        results.append(try expression(.object(both), place, depth: depth + 1))
      }
    }
    for (index, one) in read.enumerated() {
      for (other, another) in read.enumerated().dropFirst(index + 1) {
        let place = "\(pointer)/oneOf/\(other)"
        try countWork(place)
        guard try SchemaMerging.areDisjoint(one, another, place) else {
          throw .schema(
            pointer: place,
            reason:
              "a value may fit this alternative and number \(index) too: use anyOf, or tell them apart by type or const"
          )
        }
      }
    }
    return .choice(results)
  }
}

/// How two schemas' values for one keyword become one.
enum SchemaMerging {
  /// What both say; nil: it cannot be said.
  static func merge(_ keyword: String, _ a: JSONValue, _ b: JSONValue) -> JSONValue? {
    switch keyword {
    case "required":
      let known = Set(a.array ?? [])
      return .array((a.array ?? []) + (b.array ?? []).filter { !known.contains($0) })
    case "properties": return mergeProperties(a.object ?? JSONObject(), b.object ?? JSONObject())
    case "enum":
      let others = Set(b.array ?? [])
      let both = (a.array ?? []).filter(others.contains)
      return both.isEmpty ? nil : .array(both)
    case "type": return mergeTypes(a, b)
    case "minimum", "exclusiveMinimum", "minLength", "minItems": return a.double ?? 0 >= b.double ?? 0 ? a : b
    case "maximum", "exclusiveMaximum", "maxLength", "maxItems": return a.double ?? 0 <= b.double ?? 0 ? a : b
    case "items": return all(a, b)
    case "additionalProperties": return a == true ? b : b == true ? a : nil
    case "nullable": return false
    default: return nil
    }
  }

  private static func mergeProperties(_ a: JSONObject, _ b: JSONObject) -> JSONValue {
    var result = a
    for member in b.members {
      result[member.key] = a[member.key].map { $0 == member.value ? $0 : all($0, member.value) } ?? member.value
    }
    return .object(result)
  }

  /// A schema of what both schemas allow; however many come, it is no deeper.
  private static func all(_ a: JSONValue, _ b: JSONValue) -> JSONValue {
    if let members = a.object?.members, members.count == 1, let parts = a["allOf"]?.array {
      return ["allOf": .array(parts + [b])]
    }
    return ["allOf": [a, b]]
  }

  private static func mergeTypes(_ a: JSONValue, _ b: JSONValue) -> JSONValue? {
    func names(_ value: JSONValue) -> [String] { value.array?.compactMap(\.string) ?? [value.string ?? ""] }
    let (first, second) = (names(a), names(b))
    var both = first.filter { second.contains($0) || ($0 == "integer" && second.contains("number")) }
    if first.contains("number"), second.contains("integer"), !both.contains("integer") { both.append("integer") }
    return both.isEmpty ? nil : .array(both.map { .string($0) })
  }

  /// Whether no value fits both: their types differ, or values they name, or a property that both require.
  static func areDisjoint(
    _ a: JSONObject, _ b: JSONObject, _ pointer: String, depth: Int = 0
  ) throws(GrammarError) -> Bool {
    let (types, others) = (try SchemaType.types(of: a, pointer), try SchemaType.types(of: b, pointer))
    // What one is written as against what the other accepts: without `type`, values of types that it does not speak of too.
    func meet(_ written: [SchemaType], _ accepting: JSONObject, _ named: [SchemaType]) -> Bool {
      let accepted = accepting["type"] == nil ? SchemaType.allCases : named
      return written.contains { type in
        accepted.contains { $0 == type || Set([type, $0]) == [.integer, .number] }
      }
    }
    if !meet(types, b, others), !meet(others, a, types) { return true }
    if let values = Self.values(a), let others = Self.values(b) { return !values.contains { others.contains($0) } }
    guard depth < 4, types == [.object], others == [.object] else { return false }
    for name in a["required"]?.array?.compactMap(\.string) ?? []
    where b["required"]?.array?.contains(.string(name)) == true {
      guard let first = a["properties"]?[name]?.object, let second = b["properties"]?[name]?.object,
        first["$ref"] == nil, second["$ref"] == nil
      else { continue }
      if try areDisjoint(first.withoutAnnotations, second.withoutAnnotations, pointer, depth: depth + 1) {
        return true
      }
    }
    return false
  }

  private static func values(_ schema: JSONObject) -> [JSONValue]? {
    schema["const"].map { [$0] } ?? schema["enum"]?.array
  }
}
