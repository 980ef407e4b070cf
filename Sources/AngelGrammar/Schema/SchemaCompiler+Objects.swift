import AngelCore

extension SchemaCompiler {
  /// Objects: properties in the schema's order, those that are not required perhaps left out, then further ones where
  /// `additionalProperties` asks for them. A schema that says nothing about properties allows any object.
  mutating func object(_ schema: JSONObject, _ pointer: String, depth: Int) throws(GrammarError) -> GrammarExpression {
    let extra = schema["additionalProperties"]
    let required = schema["required"]?.array?.compactMap(\.string) ?? []
    let isRequired = Set(required)
    if schema["properties"] == nil, required.isEmpty, extra == nil || extra == true { return .rule(text.object) }
    var properties: [Property] = []
    for member in schema["properties"]?.object?.members ?? [] {
      let place = "\(pointer)/properties/\(JSONPointer.escaped(member.key))"
      let value = try expression(member.value, place, depth: depth + 1)
      properties.append(Property(name: member.key, value: value, isRequired: isRequired.contains(member.key)))
    }
    var names = Set(properties.map(\.name))
    for (index, name) in required.enumerated() where names.insert(name).inserted {
      guard extra != false else {
        throw .schema(pointer: "\(pointer)/required/\(index)", reason: "'\(name)' is required and not allowed")
      }
      let value = try expression(extra ?? true, "\(pointer)/additionalProperties", depth: depth + 1)
      properties.append(Property(name: name, value: value, isRequired: true))
    }
    var further: GrammarExpression?
    if let extra, extra != false {
      let value = try expression(extra, "\(pointer)/additionalProperties", depth: depth + 1)
      if let long = properties.first(where: { $0.name.utf8.count > Self.longestName }) {
        throw .schema(
          pointer: pointer, reason: "'\(long.name.prefix(40))…' is longer than \(Self.longestName) bytes")
      }
      further = .sequence([text.otherKey(than: properties.map(\.name)), JSONText.colon, value])
    }
    return JSONText.object([members(properties, further, pointer)])
  }

  /// Names that other keys must differ from are followed character by character.
  private static let longestName = 1024

  private struct Property {
    var name: String
    var value: GrammarExpression
    var isRequired: Bool
    var member: GrammarExpression { .sequence([JSONText.key(name), value]) }
  }

  /// The members of an object. What may follow the i-th property is a rule, so that the grammar grows with the number of
  /// properties and not with the number of their subsets.
  private mutating func members(
    _ properties: [Property], _ further: GrammarExpression?, _ pointer: String
  ) -> GrammarExpression {
    let further = further.map { GrammarExpression.rule(text.add("\(pointer) further", $0)) }
    // What may come from property `index` on, after another member and as the first.
    var after: GrammarExpression =
      further.map { .repeated(.sequence([JSONText.comma, $0]), min: 0, max: nil) } ?? .empty
    var first = further.map { JSONText.list($0, min: 0, max: nil) } ?? .empty
    for property in properties.reversed() {
      let member = GrammarExpression.rule(text.add("\(pointer) \(property.name)", property.member))
      let rest = GrammarExpression.rule(text.add("\(pointer) after \(property.name)", after))
      let here = GrammarExpression.sequence([member, rest])
      let next = GrammarExpression.sequence([JSONText.comma, member, rest])
      first =
        property.isRequired ? here : .rule(text.add("\(pointer) from \(property.name)", .choice([here, first])))
      after = property.isRequired ? next : .choice([next, rest])
    }
    return first
  }
}

extension JSONText {
  /// A key that is none of `names`; it has no escapes, so that no name hides in another spelling.
  func otherKey(than names: [String]) -> GrammarExpression {
    /// What may follow after the beginnings that `names` have in common have been written.
    func rest(_ names: [ArraySlice<Unicode.Scalar>]) -> GrammarExpression {
      var alternatives: [GrammarExpression] = names.contains { $0.isEmpty } ? [] : [.empty]
      var others = Self.plainCharacters
      let groups = Dictionary(grouping: names.filter { !$0.isEmpty }) { $0[$0.startIndex] }
      for (scalar, group) in groups.sorted(by: { $0.key < $1.key }) where others.contains(scalar.value) {
        others.remove(scalar.value)
        alternatives.append(.sequence([.text(String(scalar)), rest(group.map { $0.dropFirst() })]))
      }
      alternatives.append(.sequence([oneOf(others), .rule(plain)]))
      return .choice(alternatives)
    }
    return Self.quoted(rest(names.map { Array($0.unicodeScalars)[...] }))
  }

  /// One of these plain characters. Every name ends in such a choice, so what lies beyond ASCII is the rule of all wherever no
  /// name goes on there: a place of few states instead of two dozen.
  private func oneOf(_ characters: ScalarSet) -> GrammarExpression {
    let beyond = Self.plainCharacters.intersection(.beyondASCII)
    guard characters.intersection(.beyondASCII) == beyond else { return characters.expression }
    let ascii = characters.intersection(.ascii)
    return ascii.isEmpty ? .rule(wide) : .choice([ascii.expression, .rule(wide)])
  }
}

extension ScalarSet {
  fileprivate mutating func remove(_ value: UInt32) {
    self = intersection(ScalarSet([value...value]).inverted)
  }
}
