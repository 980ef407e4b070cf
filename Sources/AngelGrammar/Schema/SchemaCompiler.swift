import AngelCore

/// Makes a grammar of a JSON Schema: every text of the grammar is JSON that the schema accepts.
///
/// Not every accepted JSON text is one of the grammar: properties come in the order of the schema, and what the schema leaves
/// open is left out (Documentation/StructuredOutput.md). A keyword that is not honoured is refused with its JSON pointer.
struct SchemaCompiler {
  let document: JSONValue
  var text: JSONText
  /// The rules of what `$ref` points to.
  private var references: [String: Int] = [:]
  /// Schemas read so far, those that are read again for merging included, and pairs of them that were compared.
  private var workCount = 0

  /// No more schemas than this are read, and none deeper.
  static let workLimit = 20_000
  static let deepest = 64

  /// - Parameter text: the rules are added to its grammar.
  init(_ document: JSONValue, text: JSONText = JSONText()) {
    self.document = document
    self.text = text
  }

  /// The grammar of a whole document.
  static func grammar(of document: JSONValue) throws(GrammarError) -> Grammar {
    var compiler = SchemaCompiler(document)
    let root = try compiler.rule(document, "", name: "root")
    compiler.text.setRoot(root)
    return compiler.text.grammar
  }

  /// A rule for the values of a schema.
  mutating func rule(_ schema: JSONValue, _ pointer: String, name: String) throws(GrammarError) -> Int {
    let rule = text.add(name, .empty)
    if pointer.isEmpty { references[""] = rule }
    text.set(rule, try expression(schema, pointer, depth: 0))
    return rule
  }

  /// The values of a schema.
  mutating func expression(
    _ schema: JSONValue, _ pointer: String, depth: Int
  ) throws(GrammarError) -> GrammarExpression {
    try note(pointer, depth)
    try countWork(pointer)
    try SchemaKeyword.check(schema, at: pointer)
    guard let object = schema.object else {
      guard schema == true else { throw .schema(pointer: pointer, reason: "it allows no value") }
      return .rule(text.value)
    }
    let schema = object.withoutAnnotations
    if let reference = schema["$ref"]?.string, schema.members.count == 1 {
      return .rule(try self.rule(of: reference, pointer + "/$ref", depth: depth))
    }
    return try expression(try flattened(schema, pointer, depth: depth), pointer, depth: depth)
  }

  func note(_ pointer: String, _ depth: Int) throws(GrammarError) {
    guard depth <= Self.deepest else {
      throw .schema(pointer: pointer, reason: "schemas are nested deeper than \(Self.deepest)")
    }
  }

  mutating func countWork(_ pointer: String) throws(GrammarError) {
    workCount += 1
    guard workCount <= Self.workLimit else {
      throw .schema(pointer: pointer, reason: "more than \(Self.workLimit) schemas have to be read; make it smaller")
    }
  }

  /// The values of a schema without references and `allOf`.
  private mutating func expression(
    _ schema: JSONObject, _ pointer: String, depth: Int
  ) throws(GrammarError) -> GrammarExpression {
    for keyword in ["anyOf", "oneOf"] {
      if let alternatives = schema[keyword]?.array {
        return try choice(alternatives, keyword, schema, pointer, depth: depth)
      }
    }
    let types = try SchemaType.types(of: schema, pointer)
    if let values = try self.values(of: schema, types, pointer) {
      let literals = values.map { JSONText.literal($0) }
      return literals.count == 1 ? literals[0] : .choice(literals)
    }
    var alternatives: [GrammarExpression] = []
    for type in types { alternatives.append(try expression(type, schema, pointer, depth: depth)) }
    return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
  }

  /// The values that `enum` and `const` list; nil: they list none.
  private func values(
    of schema: JSONObject, _ types: [SchemaType], _ pointer: String
  ) throws(GrammarError) -> [JSONValue]? {
    var values = schema["enum"]?.array
    if let constant = schema["const"] { values = values.map { $0.filter { $0 == constant } } ?? [constant] }
    guard let values else { return nil }
    let kept = values.filter { value in types.contains { $0.includes(value) } }
    let keyword = schema["const"] == nil ? "enum" : "const"
    guard !kept.isEmpty else {
      throw .schema(pointer: "\(pointer)/\(keyword)", reason: "no value fits the other keywords")
    }
    for name in SchemaKeyword.types.keys.sorted() where schema[name] != nil {
      throw .schema(pointer: "\(pointer)/\(name)", reason: "'\(name)' beside '\(keyword)' is not supported")
    }
    return kept
  }

  private mutating func expression(
    _ type: SchemaType, _ schema: JSONObject, _ pointer: String, depth: Int
  ) throws(GrammarError) -> GrammarExpression {
    switch type {
    case .null: .text("null")
    case .boolean: .choice([.text("true"), .text("false")])
    case .integer: try integer(schema, pointer)
    case .number: try number(schema, pointer)
    case .string: try string(schema, pointer)
    case .array: try array(schema, pointer, depth: depth)
    case .object: try object(schema, pointer, depth: depth)
    }
  }

  // MARK: References

  /// The rule of what a reference points to, made when first asked for.
  private mutating func rule(of reference: String, _ pointer: String, depth: Int) throws(GrammarError) -> Int {
    let target = try self.target(of: reference, pointer)
    if let rule = references[target.pointer] { return rule }
    let rule = text.add("#" + target.pointer, .empty)
    references[target.pointer] = rule
    text.set(rule, try expression(target.schema, target.pointer, depth: depth + 1))
    return rule
  }

  /// What a reference inside the document points to.
  func target(of reference: String, _ pointer: String) throws(GrammarError) -> (schema: JSONValue, pointer: String) {
    guard reference.first == "#" else {
      throw .schema(
        pointer: pointer, reason: "'\(reference.prefix(80))' is outside the schema: references begin with '#'")
    }
    let place = String(reference.dropFirst())
    guard let schema = JSONPointer.value(at: place, in: document) else {
      throw .schema(pointer: pointer, reason: "there is nothing at '\(reference.prefix(80))'")
    }
    return (schema, place)
  }
}

extension JSONObject {
  /// The members that say something about values.
  var withoutAnnotations: JSONObject {
    JSONObject(
      members.filter {
        !SchemaKeyword.isAnnotation($0.key) && !SchemaKeyword.isWithoutEffect($0.key, $0.value)
          && $0.key != "$defs" && $0.key != "definitions"
      }.map { ($0.key, $0.value) })
  }
}
