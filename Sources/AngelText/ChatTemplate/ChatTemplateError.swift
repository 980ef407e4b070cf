public import AngelCore

/// Why a chat template could not be read or run.
public enum ChatTemplateError: DescribedError, Equatable {
  /// The source is not a valid template.
  case syntax(line: Int, reason: String)
  /// A construct of Jinja2 that this interpreter does not have.
  case unsupported(line: Int, construct: String)
  /// An expression has no result: undefined values, wrong types, division by zero.
  case evaluation(line: Int, reason: String)
  /// The template refused its input through `raise_exception`; the message is the template's own.
  case raised(message: String)
  /// A limit of `ChatTemplateLimits` was reached.
  case limit(line: Int, reason: String)
  /// A message is not an object with a role.
  case message(reason: String)

  public var description: String {
    switch self {
    case .syntax(let line, let reason): "chat template, line \(line): \(reason)"
    case .unsupported(let line, let construct): "chat template, line \(line): \(construct) is not supported"
    case .evaluation(let line, let reason): "chat template, line \(line): \(reason)"
    case .raised(let message): "the chat template refused the conversation: \(message)"
    case .limit(let line, let reason): "chat template, line \(line): stopped, \(reason)"
    case .message(let reason): "invalid chat message: \(reason)"
    }
  }
}
