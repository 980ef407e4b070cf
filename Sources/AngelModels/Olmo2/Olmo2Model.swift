import AngelCore
public import AngelNN
public import AngelTensor

/// Attention whose queries and keys are normalised over all heads together before rotation (arXiv:2501.00656, §2.1).
struct Olmo2Attention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  var queryNorm: RMSNorm
  var keyNorm: RMSNorm
  let layer: Int
  let headSize: Int

  init(_ configuration: Olmo2Configuration, layer: Int) {
    let (width, size) = (configuration.hiddenSize, configuration.headSize)
    let usesBias = configuration.usesAttentionBias
    query = Linear(width, configuration.headCount * size, usesBias: usesBias)
    key = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    value = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    output = Linear(configuration.headCount * size, width, usesBias: usesBias)
    queryNorm = RMSNorm(configuration.headCount * size, epsilon: configuration.normEpsilon)
    keyNorm = RMSNorm(configuration.keyValueHeadCount * size, epsilon: configuration.normEpsilon)
    self.layer = layer
    headSize = size
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let rows = x.shape[0]
    let q = queryNorm(query(x)).reshaped(rows, -1, headSize).rotated(by: rotation)  // [R, H, K]
    let k = keyNorm(key(x)).reshaped(rows, -1, headSize).rotated(by: rotation)  // [R, G, K]
    let v = value(x).reshaped(rows, -1, headSize)  // [R, G, K]
    let attended = context.attention(
      q, keys: k, values: v, layer: layer, shape: AttentionShape(scale: 1 / Float(headSize).squareRoot()))
    return output(attended.reshaped(rows, -1))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("query", &query)
    visitor.visit("key", &key)
    visitor.visit("value", &value)
    visitor.visit("output", &output)
    visitor.visit("queryNorm", &queryNorm)
    visitor.visit("keyNorm", &keyNorm)
  }
}

/// OLMo 2 decoder block (arXiv:2501.00656, §2.1): norms after attention and after SwiGLU, inside the residual branches, and
/// none before.
struct Olmo2Block: Module {
  var attention: Olmo2Attention
  var postAttentionNorm: RMSNorm
  var feedForward: GatedFeedForward
  var postFeedForwardNorm: RMSNorm

  init(_ configuration: Olmo2Configuration, layer: Int) {
    postAttentionNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = Olmo2Attention(configuration, layer: layer)
    postFeedForwardNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    feedForward = GatedFeedForward(configuration.hiddenSize, inner: configuration.innerSize)
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let h = x + postAttentionNorm(attention(x, rotation: rotation, context))
    return h + postFeedForwardNorm(feedForward(h))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("attention", &attention)
    visitor.visit("postAttentionNorm", &postAttentionNorm)
    visitor.visit("feedForward", &feedForward)
    visitor.visit("postFeedForwardNorm", &postFeedForwardNorm)
  }
}

/// OLMo 2 (arXiv:2501.00656), 1B to 32B.
public struct Olmo2Model: LinearHeadModel {
  public let configuration: Olmo2Configuration
  var embedding: Embedding
  var blocks: [Olmo2Block]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: Olmo2Configuration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { Olmo2Block(configuration, layer: $0) }
    norm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    head = configuration.tiesEmbeddings ? nil : Linear(configuration.hiddenSize, configuration.vocabularySize)
    rotary = RotaryEmbedding(
      size: configuration.headSize, base: configuration.rotaryBase, scaling: configuration.rotaryScaling)
  }

  public func callAsFunction(_ tokens: Tensor, _ context: ForwardContext) -> Tensor {
    let rotation = rotary(context)
    var x = embedding(tokens)  // [R, D]
    for block in context.layers(blocks) { x = context.layer(x) { block($0, rotation: rotation, context) } }
    return norm(x)
  }

  public var outputHead: Linear { head ?? Linear(tiedTo: embedding.weight) }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("embedding", &embedding)
    visitor.visit("blocks", &blocks)
    visitor.visit("norm", &norm)
    visitor.visit("head", &head)
  }
}
