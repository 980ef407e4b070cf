public import AngelCheckpoint
import AngelCore
import AngelMemory
public import AngelModels
import AngelNN
public import AngelTensor

/// Makes vectors of texts with an encoder: several texts in one step, laid end to end, each seeing itself alone.
///
/// Not thread-safe: one owner drives it, and its thread is the first worker of the backend's pool.
public final class EncoderEngine {
  public let model: any TextEncoder
  public let pooling: SentencePooling
  /// The most tokens of a text that count, special ones included.
  public let longest: Int
  private let backend: any Backend
  /// Asked between steps; true ends the work with `Interrupted`.
  public var isInterrupted: () -> Bool = { false }

  /// The most tokens of a step of several texts.
  static let rowLimit = 512

  /// An engine over a loaded model.
  public init(_ model: any TextEncoder, pooling: SentencePooling, on backend: any Backend) {
    self.model = model
    self.pooling = pooling
    self.backend = backend
    longest = min(pooling.longest ?? model.configuration.contextLength, model.configuration.contextLength)
  }

  /// The size of a vector.
  public var width: Int { model.configuration.hiddenSize }

  /// One vector of `width` values for each list of tokens, in order.
  ///
  /// - Throws: `EngineError` before anything runs when a list is empty, too long or holds what is no token.
  public func vectors(of texts: [[Int32]]) throws -> [[Float]] {
    for text in texts { try check(text) }
    var vectors: [[Float]] = []
    var first = 0
    while first < texts.count {
      if isInterrupted() { throw Interrupted() }
      let end = stepEnd(texts, from: first)
      vectors += try step(Array(texts[first..<end]))
      first = end
    }
    return vectors
  }

  private func check(_ text: [Int32]) throws(EngineError) {
    guard !text.isEmpty else { throw .emptyPrompt }
    guard text.count <= longest else { throw .contextExceeded(tokens: text.count, held: 0, limit: longest) }
    let vocabularySize = model.configuration.vocabularySize
    for token in text where token < 0 || Int(token) >= vocabularySize {
      throw .tokenOutOfRange(token: token, vocabularySize: vocabularySize)
    }
  }

  /// As many texts as fit a step, at least one.
  private func stepEnd(_ texts: [[Int32]], from first: Int) -> Int {
    var (end, rows) = (first + 1, texts[first].count)
    while end < texts.count, rows + texts[end].count <= Self.rowLimit {
      rows += texts[end].count
      end += 1
    }
    return end
  }

  private func step(_ texts: [[Int32]]) throws -> [[Float]] {
    let segments = Segments(lengths: texts.map(\.count), on: backend)
    let hidden = model(Tensor(texts.flatMap { $0 }, on: backend), segments)  // [R, D]
    let values: [Float] = try pooled(hidden, segments).read()
    return texts.indices.map { Array(values[($0 * width)..<(($0 + 1) * width)]) }
  }

  /// One row for each sequence, of length 1 where the model's files ask for it: [S, D].
  package func pooled(_ hidden: Tensor, _ segments: Segments) -> Tensor {
    let rows = zip(segments.bounds, segments.bounds.dropFirst()).map { start, end in
      switch pooling.kind {
      case .mean: hidden.prefix(start..<end).mean(over: 0)
      case .first: hidden.prefix(start..<(start + 1))
      }
    }
    let pooled = Tensor.stacked(rows).reshaped(rows.count, -1)
    guard pooling.normalizes else { return pooled }
    // A vector of zeros stays one.
    return pooled / maximum(sqrt(pooled.squared().sum(over: -1)), pooled.constant(1e-12))
  }
}
