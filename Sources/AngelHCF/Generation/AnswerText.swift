import AngelText

/// Turns an answer's tokens into text, piece by piece, and says when and why the answer ends.
struct AnswerText: Sendable {
  private let tokenizer: Tokenizer?
  private let endTokens: Set<Int32>
  private let shownTokens: Set<Int32>
  private let limit: Int
  private var decoder: IncrementalDecoder?
  private var stops: StopSequenceMatcher
  /// Tokens taken so far, an end token included.
  private(set) var count = 0
  /// Nil while the answer goes on.
  private(set) var finishReason: FinishReason?

  /// The stop text that ended it; nil: it goes on, or ended otherwise.
  var stopText: String? { stops.matched }

  /// Tokens that it may still take.
  var room: Int { limit - count }

  /// - Parameters:
  ///   - tokenizer: nil gives empty text.
  ///   - shownTokens: special tokens that have a text here; others have none.
  ///   - limit: the most tokens of the answer, at least one.
  init(
    _ tokenizer: Tokenizer?, endTokens: Set<Int32>, stop: [String], shownTokens: Set<Int32> = [], limit: Int
  ) {
    self.tokenizer = tokenizer
    self.endTokens = endTokens
    self.shownTokens = shownTokens
    self.limit = limit
    decoder = tokenizer.map { IncrementalDecoder($0) }
    stops = StopSequenceMatcher(stop)
  }

  /// Takes a token and returns the text that is certain now; with `isLast` the answer ends with it.
  mutating func append(_ token: Int32, isLast: Bool = false) throws(TokenizerError) -> String {
    count += 1
    if endTokens.contains(token) { return end(.stop) }
    // Embeddings are often padded beyond the tokenizer's vocabulary; such a token has no text.
    let isSpelled = tokenizer.map { Int(token) < $0.vocabularySize } ?? false
    let output = stops.append(isSpelled ? try text(of: token) : "")
    if output.stop != nil {
      finishReason = .stop
      return output.text
    }
    if isLast { return output.text + end(.stop) }
    return count < limit ? output.text : output.text + end(.length)
  }

  private mutating func text(of token: Int32) throws(TokenizerError) -> String {
    let text = try decoder?.append(token) ?? ""
    guard shownTokens.contains(token), let tokenizer else { return text }
    return text + String(decoding: try tokenizer.bytes(of: token), as: UTF8.self)
  }

  /// Ends the answer and returns what was held back.
  mutating func end(_ reason: FinishReason) -> String {
    finishReason = reason
    let rest = stops.append(decoder?.finish() ?? "")
    return rest.text + (rest.stop == nil ? stops.finish() : "")
  }
}
