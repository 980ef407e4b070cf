public import AngelCore

/// Why a text is no grammar, or a grammar cannot be used.
public enum GrammarError: DescribedError, Equatable {
  /// The text breaks off or goes wrong at a line and column, both from 1.
  case syntax(line: Int, column: Int, reason: String)
  /// A regular expression that goes wrong, or a construct of one that is not supported, at a character from 0.
  case expression(offset: Int, reason: String)
  /// A JSON Schema that says something unsupported or impossible; the place as a JSON pointer (RFC 6901).
  case schema(pointer: String, reason: String)
  case undefinedRule(name: String, line: Int)
  /// A rule that begins with itself, through the rules named.
  case leftRecursion(rules: [String])
  /// A rule that no finite text fulfils.
  case endlessRule(name: String)
  /// A format of more bytes than are read.
  case tooLong(byteCount: Int, limit: Int)
  /// More states than a grammar may have.
  case tooLarge(limit: Int)
  /// More ways to read a text at once than are followed.
  case tooAmbiguous(limit: Int)
  /// A token that the grammar does not allow at its place.
  case refusedToken(Int32)

  public var description: String {
    switch self {
    case .syntax(let line, let column, let reason): "the grammar is wrong at line \(line), column \(column): \(reason)"
    case .expression(let offset, let reason):
      "the regular expression cannot be used, at character \(offset): \(reason)"
    case .schema(let pointer, let reason): "the JSON Schema cannot be used, at '\(pointer)': \(reason)"
    case .undefinedRule(let name, let line): "line \(line) of the grammar uses rule '\(name)', which is not defined"
    case .leftRecursion(let rules):
      "the grammar's rule '\(rules.first ?? "")' begins with itself (\(rules.joined(separator: " → "))): "
        + "write the repetition with * or +"
    case .endlessRule(let name): "the grammar's rule '\(name)' has no end: give it an alternative without itself"
    case .tooLong(let count, let limit):
      "what the answer must be has \(TextFormat.count(count)) bytes, at most \(TextFormat.count(limit)) are read"
    case .tooLarge(let limit):
      "the grammar has more than \(TextFormat.count(limit)) states: use smaller repetition counts or fewer alternatives"
    case .tooAmbiguous(let limit):
      "the grammar allows more than \(TextFormat.count(limit)) readings of the text so far: make it less ambiguous"
    case .refusedToken(let token): "token \(token) is not what the grammar allows here"
    }
  }
}
