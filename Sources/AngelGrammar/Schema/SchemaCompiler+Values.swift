import AngelCore

extension SchemaCompiler {
  // MARK: Numbers

  /// Integers within bounds.
  func integer(_ schema: JSONObject, _ pointer: String) throws(GrammarError) -> GrammarExpression {
    let least = try bound(schema, "minimum", "exclusiveMinimum", pointer, isLower: true)
    let most = try bound(schema, "maximum", "exclusiveMaximum", pointer, isLower: false)
    guard least != nil || most != nil else { return .rule(text.integer) }
    guard let expression = IntegerRange.expression(from: least, to: most) else {
      throw .schema(pointer: pointer, reason: "no integer is within the bounds")
    }
    return expression
  }

  /// The stricter of two bounds, as an integer that is allowed.
  private func bound(
    _ schema: JSONObject, _ inclusive: String, _ exclusive: String, _ pointer: String, isLower: Bool
  ) throws(GrammarError) -> Int? {
    var result: Int?
    for (name, isExclusive) in [(inclusive, false), (exclusive, true)] {
      guard let value = schema[name] else { continue }
      let bound: Int
      if let integer = value.integer {
        let next = isLower ? integer.addingReportingOverflow(1) : integer.subtractingReportingOverflow(1)
        guard !isExclusive || !next.overflow else {
          throw .schema(pointer: "\(pointer)/\(name)", reason: "no integer of 64 bits is beyond it")
        }
        bound = isExclusive ? next.partialValue : integer
      } else {
        // Between integers it makes no difference whether a bound itself is allowed.
        let rounded = (value.double ?? 0).rounded(isLower ? .up : .down)
        guard let integer = Int(exactly: rounded) else {
          throw .schema(pointer: "\(pointer)/\(name)", reason: "it must be within 64 bits")
        }
        bound = integer
      }
      result = result.map { isLower ? max($0, bound) : min($0, bound) } ?? bound
    }
    return result
  }

  /// Numbers; of bounds only "at least 0" can be said in a grammar of moderate size.
  func number(_ schema: JSONObject, _ pointer: String) throws(GrammarError) -> GrammarExpression {
    for name in ["maximum", "exclusiveMinimum", "exclusiveMaximum"] where schema[name] != nil {
      throw .schema(
        pointer: "\(pointer)/\(name)", reason: "bounds are supported for integers; for numbers a minimum of 0")
    }
    guard let least = schema["minimum"] else { return .rule(text.number) }
    guard least.double == 0, case .sequence(let parts) = text.grammar.rules[text.number].body else {
      throw .schema(
        pointer: "\(pointer)/minimum", reason: "bounds are supported for integers; for numbers a minimum of 0")
    }
    return .sequence(Array(parts.dropFirst()))
  }

  // MARK: Strings

  /// Strings by length, pattern or format.
  func string(_ schema: JSONObject, _ pointer: String) throws(GrammarError) -> GrammarExpression {
    let (least, most) = (schema["minLength"]?.integer ?? 0, schema["maxLength"]?.integer)
    if let most, most < least { throw .schema(pointer: "\(pointer)/maxLength", reason: "it is less than minLength") }
    let others = ["pattern", "format", "minLength", "maxLength"].filter { schema[$0] != nil }
    if let special = others.first, special == "pattern" || special == "format" {
      if others.count > 1 {
        throw .schema(pointer: "\(pointer)/\(others[1])", reason: "'\(others[1])' beside '\(special)' is not supported")
      }
      let content = special == "pattern" ? try pattern(schema, pointer) : try format(schema, pointer)
      return JSONText.quoted(content.expression(JSONText.spelling))
    }
    guard least > 0 || most != nil else { return .rule(text.string) }
    return JSONText.quoted(.repeated(.rule(text.character), min: least, max: most))
  }

  private func pattern(_ schema: JSONObject, _ pointer: String) throws(GrammarError) -> CharacterExpression {
    do throws(GrammarError) {
      return try RegularExpressionParser.parse(schema["pattern"]?.string ?? "").anywhere
    } catch {
      throw .schema(pointer: "\(pointer)/pattern", reason: error.description)
    }
  }

  private func format(_ schema: JSONObject, _ pointer: String) throws(GrammarError) -> CharacterExpression {
    let name = schema["format"]?.string ?? ""
    guard let expression = SchemaFormat.expressions[name] else {
      let names = SchemaFormat.expressions.keys.sorted().joined(separator: ", ")
      throw .schema(pointer: "\(pointer)/format", reason: "format '\(name.prefix(40))' is not supported: use \(names)")
    }
    return try RegularExpressionParser.parse(expression).whole
  }

  // MARK: Arrays

  /// Arrays: the prefix, then further items as many as bounds allow; none where the schema says nothing about them.
  mutating func array(_ schema: JSONObject, _ pointer: String, depth: Int) throws(GrammarError) -> GrammarExpression {
    let (least, most) = (schema["minItems"]?.integer ?? 0, schema["maxItems"]?.integer)
    if let most, most < least { throw .schema(pointer: "\(pointer)/maxItems", reason: "it is less than minItems") }
    let prefix = Array((schema["prefixItems"]?.array ?? []).prefix(most ?? .max))
    var parts: [GrammarExpression] = []
    for (index, item) in prefix.enumerated() {
      if index > 0 { parts.append(JSONText.comma) }
      parts.append(try expression(item, "\(pointer)/prefixItems/\(index)", depth: depth + 1))
    }
    let missing = max(0, least - prefix.count)
    var room = most.map { $0 - prefix.count }
    if schema["items"] == false || (schema["items"] == nil && !prefix.isEmpty) { room = min(room ?? missing, missing) }
    if missing > 0, schema["items"] == false {
      throw .schema(pointer: "\(pointer)/minItems", reason: "there are not so many items")
    }
    guard room != 0 else { return JSONText.array(parts) }
    let item = try rule(forItem: schema["items"] ?? true, "\(pointer)/items", depth: depth)
    guard !prefix.isEmpty else { return JSONText.array([JSONText.list(item, min: least, max: most)]) }
    parts.append(.repeated(.sequence([JSONText.comma, item]), min: missing, max: room))
    return JSONText.array(parts)
  }

  /// Items are repeated, so each kind is a rule.
  private mutating func rule(
    forItem schema: JSONValue, _ pointer: String, depth: Int
  ) throws(GrammarError) -> GrammarExpression {
    let item = try expression(schema, pointer, depth: depth + 1)
    if case .rule = item { return item }
    return .rule(text.add(pointer, item))
  }
}
