import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention with a cap on its scores; in local layers a token sees a window of those before it
/// (arXiv:2408.00118, §2).
struct Gemma2Attention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let layer: Int
  let headSize: Int
  let shape: AttentionShape

  init(_ configuration: Gemma2Configuration, layer: Int) {
    let (width, size) = (configuration.hiddenSize, configuration.headSize)
    let usesBias = configuration.usesAttentionBias
    query = Linear(width, configuration.headCount * size, usesBias: usesBias)
    key = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    value = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    output = Linear(configuration.headCount * size, width, usesBias: usesBias)
    self.layer = layer
    headSize = size
    shape = AttentionShape(
      scale: 1 / configuration.queryScalar.squareRoot(), softCap: configuration.scoreSoftCap,
      window: configuration.localLayers[layer] ? configuration.window : 0)
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let rows = x.shape[0]
    let q = query(x).reshaped(rows, -1, headSize).rotated(by: rotation)  // [R, H, K]
    let k = key(x).reshaped(rows, -1, headSize).rotated(by: rotation)  // [R, G, K]
    let v = value(x).reshaped(rows, -1, headSize)  // [R, G, K]
    let attended = context.attention(q, keys: k, values: v, layer: layer, shape: shape)
    return output(attended.reshaped(rows, -1))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("query", &query)
    visitor.visit("key", &key)
    visitor.visit("value", &value)
    visitor.visit("output", &output)
  }
}

/// Gemma 2 decoder block: a norm before and after each of its two parts (arXiv:2408.00118, §2), GeGLU.
struct Gemma2Block: Module {
  var attentionNorm: RMSNorm
  var attention: Gemma2Attention
  var postAttentionNorm: RMSNorm
  var feedForwardNorm: RMSNorm
  var feedForward: GatedFeedForward
  var postFeedForwardNorm: RMSNorm

  init(_ configuration: Gemma2Configuration, layer: Int) {
    func norm() -> RMSNorm { RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon) }
    attentionNorm = norm()
    attention = Gemma2Attention(configuration, layer: layer)
    postAttentionNorm = norm()
    feedForwardNorm = norm()
    feedForward = GatedFeedForward(
      configuration.hiddenSize, inner: configuration.innerSize,
      activation: .gelu(configuration.usesExactGELU ? .erf : .tanh))
    postFeedForwardNorm = norm()
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let h = x + postAttentionNorm(attention(attentionNorm(x), rotation: rotation, context))
    return h + postFeedForwardNorm(feedForward(feedForwardNorm(h)))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("attentionNorm", &attentionNorm)
    visitor.visit("attention", &attention)
    visitor.visit("postAttentionNorm", &postAttentionNorm)
    visitor.visit("feedForwardNorm", &feedForwardNorm)
    visitor.visit("feedForward", &feedForward)
    visitor.visit("postFeedForwardNorm", &postFeedForwardNorm)
  }
}

/// Gemma 2 (arXiv:2408.00118), 2B to 27B.
public struct Gemma2Model: LanguageModel {
  public let configuration: Gemma2Configuration
  var embedding: Embedding
  var blocks: [Gemma2Block]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: Gemma2Configuration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { Gemma2Block(configuration, layer: $0) }
    norm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    head = configuration.tiesEmbeddings ? nil : Linear(configuration.hiddenSize, configuration.vocabularySize)
    rotary = RotaryEmbedding(
      size: configuration.headSize, base: configuration.rotaryBase, scaling: configuration.rotaryScaling)
  }

  public func callAsFunction(_ tokens: Tensor, _ context: ForwardContext) -> Tensor {
    let rotation = rotary(context)
    // The root is rounded to the width of the arithmetic, as the reference implementation has it.
    var x = embedding(tokens) * Double(Float(configuration.hiddenSize).squareRoot())  // [R, D]
    for block in context.layers(blocks) { x = context.layer(x) { block($0, rotation: rotation, context) } }
    return norm(x)
  }

  public func logits(of hidden: Tensor) -> Tensor {
    let scores = (head ?? Linear(tiedTo: embedding.weight))(hidden)
    return configuration.logitSoftCap > 0 ? scores.softCapped(at: configuration.logitSoftCap) : scores
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("embedding", &embedding)
    visitor.visit("blocks", &blocks)
    visitor.visit("norm", &norm)
    visitor.visit("head", &head)
  }
}
