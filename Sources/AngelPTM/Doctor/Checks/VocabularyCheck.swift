import AngelCore
import AngelData

/// Whether every token of the data has a row in the embedding.
struct VocabularyCheck: DoctorCheck {
  static let name = "vocabulary range"
  let samples: [TokenSample]
  /// Rows of the embedding.
  let vocabularySize: Int
  /// Tokens that the tokenizer knows.
  let tokenizerSize: Int

  func run() throws -> DoctorFinding {
    let highest = samples.lazy.flatMap(\.tokens).max() ?? 0
    let lowest = samples.lazy.flatMap(\.tokens).min() ?? 0
    let found = "tokens \(lowest) to \(highest) of \(TextFormat.count(vocabularySize)) rows"
    if lowest < 0 || Int(highest) >= vocabularySize {
      return failed(found, remedy: "tokenizer and model do not belong together: use the model's own tokenizer")
    }
    if tokenizerSize > vocabularySize {
      return warning(
        "\(found); the tokenizer knows \(TextFormat.count(tokenizerSize)) tokens",
        remedy: "text that holds the tokens beyond would be refused: use the model's own tokenizer")
    }
    return passed(found)
  }
}
