import AngelCore
import AngelHCF

/// Texts whose vectors a request wants, after every check that can be made before they are queued.
struct EmbeddingTexts: Sendable {
  let tokens: [[Int32]]
  /// The numbers that vectors must have; nil: as many as the model gives.
  let dimensions: Int?

  var tokenCount: Int { tokens.reduce(0) { $0 + $1.count } }

  /// - Parameters:
  ///   - limit: the most tokens of a text, of which more are cut off; -1: what fits; nil: none is cut, and longer ones
  ///     are refused. A text that is cut keeps the special token at its end.
  ///   - field: the field of a text by its number, for errors.
  init(
    _ texts: [[Int32]], limit: Int?, _ model: LoadedModel, dimensions: Int? = nil, field: (Int) -> String
  ) throws(APIError) {
    self.dimensions = dimensions
    if case .encoder(let engine) = model { try Self.check(dimensions, width: engine.width) }
    let most = limit.map { $0 > 0 ? min($0, model.contextLength) : model.contextLength } ?? model.contextLength
    var result: [[Int32]] = []
    for (index, text) in texts.enumerated() {
      guard let last = text.last else { throw .invalid(field(index), "has no tokens: give some text") }
      for token in text where Int(token) >= model.vocabularySize {
        throw .invalid(
          field(index), "has token \(token): the vocabulary has ids from 0 to \(model.vocabularySize - 1)")
      }
      guard text.count > most else {
        result.append(text)
        continue
      }
      guard limit != nil else { throw .contextExceeded(field(index), tokens: text.count, answer: 0, limit: most) }
      result.append(model.tokenizer.isSpecial(last) ? text.prefix(most - 1) + [last] : Array(text.prefix(most)))
    }
    tokens = result
  }

  /// A language model's width is known by its first vector.
  func check(width: Int) throws(APIError) { try Self.check(dimensions, width: width) }

  private static func check(_ dimensions: Int?, width: Int) throws(APIError) {
    if let dimensions, dimensions != width {
      throw .invalid("dimensions", "is \(dimensions): this model's vectors have \(width) numbers, and are not cut")
    }
  }
}

extension [Float] {
  /// Each number as the shortest text that reads back as the same float32.
  var json: JSONValue { .array(map { .number(Double($0.description) ?? Double($0)) }) }
}
