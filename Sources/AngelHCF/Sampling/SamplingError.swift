public import AngelCore

/// Why a token could not be chosen.
public enum SamplingError: DescribedError, Equatable {
  /// A parameter outside its range.
  case invalid(field: String, value: String, range: String)
  /// A token id in a parameter that the vocabulary does not have.
  case unknownToken(field: String, token: Int, vocabularySize: Int)
  /// Not one logit for each token of the vocabulary.
  case wrongCount(logits: Int, vocabularySize: Int)
  /// A logit that is NaN or +infinity, with the step of generation.
  case notANumber(token: Int, value: String, step: Int)
  /// Every token has probability zero.
  case noTokenPossible(step: Int)
  /// Penalties or temperature carried a logit beyond float32.
  case overflow(step: Int)

  public var description: String {
    switch self {
    case .invalid(let field, let value, let range): "\(field) is \(value): it must be \(range)"
    case .unknownToken(let field, let token, let vocabularySize):
      "\(field) names token \(token): the vocabulary has tokens 0...\(vocabularySize - 1)"
    case .wrongCount(let logits, let vocabularySize):
      "\(logits) logits for a vocabulary of \(vocabularySize): model and tokenizer do not belong together"
    case .notANumber(let token, let value, let step):
      "the logit of token \(token) is \(value) at step \(step): the model's weights or arithmetic are damaged; "
        + "check the file's digest, or run with --precision f32"
    case .noTokenPossible(let step):
      "every logit is -infinity at step \(step): no token is allowed; loosen the grammar, bias or mask"
    case .overflow(let step):
      "penalties make a logit infinite at step \(step): use a repetitionPenalty nearer to 1"
    }
  }
}
