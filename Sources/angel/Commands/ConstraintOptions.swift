import AngelCore
import AngelGrammar
import AngelHCF

/// The options that say what an answer must be.
enum ConstraintOptions {
  static let jsonObject = Option<Bool>.flag("json-object", help: "the answer is a JSON object")
  static let jsonSchema = Option<String?>.text(
    "json-schema", placeholder: "FILE", help: "the answer is JSON that the schema in FILE accepts")
  static let regex = Option<String?>.text(
    "regex", placeholder: "EXPRESSION", help: "the answer matches a regular expression as a whole")
  static let grammar = Option<String?>.text(
    "grammar", placeholder: "FILE", help: "the answer is a text of the grammar in FILE (GBNF)")

  static let all = [jsonObject.declaration, jsonSchema.declaration, regex.declaration, grammar.declaration]

  /// What the answer must be; nil: anything.
  static func format(_ arguments: Arguments, of command: String) throws -> OutputFormat? {
    var formats: [OutputFormat] = []
    if arguments[jsonObject] { formats.append(.jsonObject) }
    if let path = arguments[jsonSchema] {
      formats.append(.jsonSchema(try JSONValue(parsing: try bytes(path), refusingEqualKeys: true)))
    }
    if let expression = arguments[regex] { formats.append(.regularExpression(expression)) }
    if let path = arguments[grammar] { formats.append(.grammar(String(decoding: try bytes(path), as: UTF8.self))) }
    guard formats.count <= 1 else {
      throw UsageError("give one of --json-object, --json-schema, --regex and --grammar", command: command)
    }
    // What is wrong shows before a model is loaded.
    _ = try formats.first?.makeGrammar()
    return formats.first
  }

  private static func bytes(_ path: String) throws(FileError) -> [UInt8] {
    try FilePath.contents(of: path, limit: 1 << 20)
  }
}
