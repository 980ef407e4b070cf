import AngelCore
public import AngelNN
public import AngelTensor

/// Multi-head attention with biases (arXiv:1706.03762, §3.2.2).
struct GPT2Attention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let layer: Int
  let headSize: Int
  let scale: Float

  init(_ configuration: GPT2Configuration, layer: Int) {
    let width = configuration.hiddenSize
    query = Linear(width, width, usesBias: true)
    key = Linear(width, width, usesBias: true)
    value = Linear(width, width, usesBias: true)
    output = Linear(width, width, usesBias: true)
    self.layer = layer
    headSize = configuration.headSize
    scale =
      (configuration.scalesByHeadSize ? 1 / Float(headSize).squareRoot() : 1)
      / (configuration.scalesByLayer ? Float(layer + 1) : 1)
  }

  func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let rows = x.shape[0]
    let q = query(x).reshaped(rows, -1, headSize)  // [R, H, K]
    let k = key(x).reshaped(rows, -1, headSize)  // [R, H, K]
    let v = value(x).reshaped(rows, -1, headSize)  // [R, H, K]
    let attended = context.attention(q, keys: k, values: v, layer: layer, shape: AttentionShape(scale: scale))
    return output(attended.reshaped(rows, -1))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("query", &query)
    visitor.visit("key", &key)
    visitor.visit("value", &value)
    visitor.visit("output", &output)
  }
}

/// GPT-2 decoder block: layer normalisation before attention and before the feed-forward layer, GELU.
struct GPT2Block: Module {
  var attentionNorm: LayerNorm
  var attention: GPT2Attention
  var feedForwardNorm: LayerNorm
  var feedForward: FeedForward

  init(_ configuration: GPT2Configuration, layer: Int) {
    attentionNorm = LayerNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = GPT2Attention(configuration, layer: layer)
    feedForwardNorm = LayerNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    feedForward = FeedForward(
      configuration.hiddenSize, inner: configuration.innerSize, configuration.usesExactGELU ? .erf : .tanh)
  }

  func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let h = x + attention(attentionNorm(x), context)
    return h + feedForward(feedForwardNorm(h))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("attentionNorm", &attentionNorm)
    visitor.visit("attention", &attention)
    visitor.visit("feedForwardNorm", &feedForwardNorm)
    visitor.visit("feedForward", &feedForward)
  }
}

/// GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", §2.3): learned positions.
public struct GPT2Model: LinearHeadModel {
  public let configuration: GPT2Configuration
  var embedding: Embedding
  var positions: Embedding
  var blocks: [GPT2Block]
  var norm: LayerNorm
  /// Nil where the embedding is the output head.
  var head: Linear?

  public init(_ configuration: GPT2Configuration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    positions = Embedding(configuration.contextLength, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { GPT2Block(configuration, layer: $0) }
    norm = LayerNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    head = configuration.tiesEmbeddings ? nil : Linear(configuration.hiddenSize, configuration.vocabularySize)
  }

  public func callAsFunction(_ tokens: Tensor, _ context: ForwardContext) -> Tensor {
    var x = embedding(tokens) + positions(context.positions)  // [R, D]
    for block in context.layers(blocks) { x = context.layer(x) { block($0, context) } }
    return norm(x)
  }

  public var outputHead: Linear { head ?? Linear(tiedTo: embedding.weight) }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("embedding", &embedding)
    visitor.visit("positions", &positions)
    visitor.visit("blocks", &blocks)
    visitor.visit("norm", &norm)
    visitor.visit("head", &head)
  }
}
