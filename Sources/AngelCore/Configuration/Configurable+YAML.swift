extension Configurable {
  /// The whole configuration as a recipe: every field with its value, the explanation of each as a comment.
  public var yaml: String { Self.yaml(self, indent: "") }

  static func yaml(_ value: Self, indent: String) -> String {
    var text = ""
    for field in fields {
      text += field.nested.isEmpty ? "" : "\(indent)# \(field.summary)\n"
      text += lines(field.json(value), key: field.name, field: field, indent: indent)
    }
    return text
  }

  private static func lines(
    _ value: JSONValue, key: String, field: ConfigurationField<Self>, indent: String
  ) -> String {
    guard case .object(let object) = value else {
      return "\(indent)\(key): \(scalar(value))  # \(field.summary)\n"
    }
    var text = "\(indent)\(key):\n"
    for member in object.members {
      let summary = field.nested.first { $0.name == member.key }?.summary
      text += "\(indent)  \(member.key): \(scalar(member.value))" + (summary.map { "  # " + $0 } ?? "") + "\n"
    }
    return text
  }

  /// JSON's notation of a scalar or a list is YAML too; words that need no quotes have none.
  private static func scalar(_ value: JSONValue) -> String {
    guard case .string(let text) = value, isPlain(text) else { return value.encoded() }
    return text
  }

  private static func isPlain(_ text: String) -> Bool {
    guard case .string = RecipeParser.plain(text), let first = text.utf8.first else { return false }
    func isWord(_ byte: UInt8) -> Bool {
      (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "_-./".utf8.contains(byte)
    }
    return first != UInt8(ascii: "-") && text.utf8.allSatisfy(isWord)
  }
}
