import AngelCore

/// The types of JSON Schema.
enum SchemaType: String, CaseIterable, Equatable {
  case object, array, string, number, integer, boolean, null

  /// The types a schema allows: those it names, those its keywords are about, or all.
  static func types(of schema: JSONObject, _ pointer: String) throws(GrammarError) -> [SchemaType] {
    var types: [SchemaType]
    if let named = schema["type"] {
      types = []
      for name in named.array?.compactMap(\.string) ?? [named.string ?? ""] {
        guard let type = SchemaType(rawValue: name) else {
          throw .schema(
            pointer: "\(pointer)/type",
            reason:
              "there is no type '\(name.prefix(40))'\(Suggestion.question(for: name, among: allCases.map(\.rawValue)))")
        }
        types.append(type)
      }
      guard !types.isEmpty else { throw .schema(pointer: "\(pointer)/type", reason: "no type is allowed") }
    } else {
      let meant = Set(schema.members.compactMap { SchemaKeyword.types[$0.key] })
      types = allCases.filter { meant.isEmpty ? $0 != .integer : meant.contains($0.rawValue) }
    }
    if schema["nullable"] == true, !types.contains(.null) { types.append(.null) }
    // Every integer is a number.
    if types.contains(.number) { types.removeAll { $0 == .integer } }
    return types
  }

  func includes(_ value: JSONValue) -> Bool {
    switch (self, value) {
    case (.object, .object), (.array, .array), (.string, .string), (.boolean, .bool), (.null, .null),
      (.number, .integer), (.number, .number):
      true
    case (.integer, _): value.integer != nil
    default: false
    }
  }
}
