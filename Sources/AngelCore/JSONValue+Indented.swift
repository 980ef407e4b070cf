extension JSONValue {
  /// JSON text for people and for Python: a line a member, two spaces a level, and numbers that are not integers always
  /// with a point or an exponent, so that readers that tell `4` from `4.0` get what was meant.
  public func indented() -> String {
    var output = ""
    write(to: &output, indentation: "")
    return output + "\n"
  }

  private func write(to output: inout String, indentation: String) {
    let inner = indentation + "  "
    switch self {
    case .number(let value) where value.isFinite: output += value.description
    case .array(let values) where !values.isEmpty:
      output += "["
      for (position, value) in values.enumerated() {
        output += (position > 0 ? ",\n" : "\n") + inner
        value.write(to: &output, indentation: inner)
      }
      output += "\n\(indentation)]"
    case .object(let object) where !object.members.isEmpty:
      output += "{"
      for (position, member) in object.members.enumerated() {
        output += (position > 0 ? ",\n" : "\n") + inner + JSONValue.string(member.key).encoded() + ": "
        member.value.write(to: &output, indentation: inner)
      }
      output += "\n\(indentation)}"
    case .null, .bool, .integer, .number, .string, .array, .object: output += encoded()
    }
  }
}
