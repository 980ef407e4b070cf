public import AngelCore

/// Why the engine refused or stopped.
public enum EngineError: DescribedError, Equatable {
  case emptyPrompt
  case tokenOutOfRange(token: Int32, vocabularySize: Int)
  case contextExceeded(tokens: Int, held: Int, limit: Int)
  case contextTooLong(requested: Int, supported: Int)
  case interrupted

  public var description: String {
    switch self {
    case .emptyPrompt: "the prompt has no tokens: give some text"
    case .tokenOutOfRange(let token, let size):
      "token \(token) is not in the vocabulary, whose ids run from 0 to \(size - 1)"
    case .contextExceeded(let tokens, let held, let limit):
      "\(tokens) tokens\(held > 0 ? " after \(held)" : "") exceed the context of \(limit): shorten the text or raise --context"
    case .contextTooLong(let requested, let supported):
      "a context of \(requested) tokens was asked for, the model was made for \(supported): lower --context"
    case .interrupted: "interrupted"
    }
  }
}
