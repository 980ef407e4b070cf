public import AngelCore

/// Why the engine refused or stopped.
public enum EngineError: DescribedError, Equatable {
  case emptyPrompt
  case tokenOutOfRange(token: Int32, vocabularySize: Int)
  case contextExceeded(tokens: Int, held: Int, limit: Int)
  case noRoomForAnswer(promptTokens: Int, limit: Int)
  case contextTooLong(requested: Int, supported: Int)
  case damagedLogits(position: Int)
  case interrupted

  public var description: String {
    switch self {
    case .emptyPrompt: "the prompt has no tokens: give some text"
    case .tokenOutOfRange(let token, let size):
      "token \(token) is not in the vocabulary, whose ids run from 0 to \(size - 1)"
    case .contextExceeded(let tokens, let held, let limit):
      "\(tokens) tokens\(held > 0 ? " after \(held)" : "") exceed the context of \(limit): shorten the text or raise --context"
    case .noRoomForAnswer(let tokens, let limit):
      "a prompt of \(tokens) tokens leaves no room for an answer in the context of \(limit): shorten it or raise --context"
    case .contextTooLong(let requested, let supported):
      "a context of \(requested) tokens was asked for, the model was made for \(supported): lower --context"
    case .damagedLogits(let position):
      "the logits after token \(position) are not numbers: the model's weights or arithmetic are damaged; "
        + "check the file's digest, or run with --precision f32"
    case .interrupted: "interrupted"
    }
  }
}
