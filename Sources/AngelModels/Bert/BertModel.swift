import AngelCore
public import AngelNN
public import AngelTensor

/// Words, positions and token types, each learned, summed and normalised (arXiv:1810.04805, figure 2).
struct BertEmbedding: Module {
  var words: Embedding
  var positions: Embedding
  var types: Embedding
  var norm: LayerNorm

  init(_ configuration: BertConfiguration) {
    let width = configuration.hiddenSize
    words = Embedding(configuration.vocabularySize, width)
    positions = Embedding(configuration.contextLength, width)
    types = Embedding(configuration.tokenTypeCount, width)
    norm = LayerNorm(width, epsilon: configuration.normEpsilon)
  }

  /// Every token is of the first type: sentences are encoded one by one, never in pairs.
  func callAsFunction(_ tokens: Tensor, _ segments: Segments) -> Tensor {
    let firstType = types(Tensor([Int32(0)], on: tokens.backend))  // [1, D]
    return norm(words(tokens) + firstType + positions(segments.positions))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("words", &words)
    visitor.visit("positions", &positions)
    visitor.visit("types", &types)
    visitor.visit("norm", &norm)
  }
}

/// Attention of every token to all tokens of its sequence (arXiv:1706.03762, §3.2.2).
struct BertAttention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let headSize: Int

  init(_ configuration: BertConfiguration) {
    func square() -> Linear { Linear(configuration.hiddenSize, configuration.hiddenSize, usesBias: true) }
    (query, key, value, output) = (square(), square(), square(), square())
    headSize = configuration.headSize
  }

  func callAsFunction(_ x: Tensor, _ segments: Segments) -> Tensor {
    let rows = x.shape[0]
    func heads(_ layer: Linear) -> Tensor { layer(x).reshaped(rows, -1, headSize) }  // [R, H, K]
    let attended = segmentAttention(
      heads(query), keys: heads(key), values: heads(value), segments: segments,
      shape: AttentionShape(scale: 1 / Float(headSize).squareRoot()), isCausal: false)
    return output(attended.reshaped(rows, -1))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("query", &query)
    visitor.visit("key", &key)
    visitor.visit("value", &value)
    visitor.visit("output", &output)
  }
}

/// BERT block (arXiv:1810.04805, §3): each part is added to the stream and the sum is normalised.
struct BertBlock: Module {
  var attention: BertAttention
  var attentionNorm: LayerNorm
  var feedForward: FeedForward
  var feedForwardNorm: LayerNorm

  init(_ configuration: BertConfiguration) {
    let (width, epsilon) = (configuration.hiddenSize, configuration.normEpsilon)
    attention = BertAttention(configuration)
    attentionNorm = LayerNorm(width, epsilon: epsilon)
    feedForward = FeedForward(width, inner: configuration.innerSize, .erf)
    feedForwardNorm = LayerNorm(width, epsilon: epsilon)
  }

  func callAsFunction(_ x: Tensor, _ segments: Segments) -> Tensor {
    let h = attentionNorm(attention(x, segments) + x)
    return feedForwardNorm(feedForward(h) + h)
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("attention", &attention)
    visitor.visit("attentionNorm", &attentionNorm)
    visitor.visit("feedForward", &feedForward)
    visitor.visit("feedForwardNorm", &feedForwardNorm)
  }
}

/// BERT (arXiv:1810.04805) without the pooler and heads of its training: MiniLM (arXiv:2002.10957) and other encoders.
public struct BertModel: TextEncoder {
  public let configuration: BertConfiguration
  var embedding: BertEmbedding
  var blocks: [BertBlock]

  public init(_ configuration: BertConfiguration) {
    self.configuration = configuration
    embedding = BertEmbedding(configuration)
    blocks = (0..<configuration.layerCount).map { _ in BertBlock(configuration) }
  }

  public func callAsFunction(_ tokens: Tensor, _ segments: Segments) -> Tensor {
    var x = embedding(tokens, segments)  // [R, D]
    for block in blocks { x = block(x, segments) }
    return x
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("embedding", &embedding)
    visitor.visit("blocks", &blocks)
  }
}
