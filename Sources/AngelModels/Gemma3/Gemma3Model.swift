import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention whose queries and keys are normalised per head before rotation; in local layers a token sees a
/// window of those before it (arXiv:2503.19786, §2).
struct Gemma3Attention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  var queryNorm: RMSNorm
  var keyNorm: RMSNorm
  let layer: Int
  let headSize: Int
  let shape: AttentionShape

  init(_ configuration: Gemma3Configuration, layer: Int) {
    let (width, size) = (configuration.hiddenSize, configuration.headSize)
    let usesBias = configuration.usesAttentionBias
    query = Linear(width, configuration.headCount * size, usesBias: usesBias)
    key = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    value = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    output = Linear(configuration.headCount * size, width, usesBias: usesBias)
    queryNorm = RMSNorm(size, epsilon: configuration.normEpsilon)
    keyNorm = RMSNorm(size, epsilon: configuration.normEpsilon)
    self.layer = layer
    headSize = size
    shape = AttentionShape(
      scale: 1 / configuration.queryScalar.squareRoot(),
      window: configuration.localLayers[layer] ? configuration.window : 0)
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let rows = x.shape[0]
    let q = queryNorm(query(x).reshaped(rows, -1, headSize)).rotated(by: rotation)  // [R, H, K]
    let k = keyNorm(key(x).reshaped(rows, -1, headSize)).rotated(by: rotation)  // [R, G, K]
    let v = value(x).reshaped(rows, -1, headSize)  // [R, G, K]
    let attended = context.attention(q, keys: k, values: v, layer: layer, shape: shape)
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

/// Gemma 3 decoder block: a norm before and after each of its two parts (arXiv:2408.00118, §2), GeGLU.
struct Gemma3Block: Module {
  var attentionNorm: RMSNorm
  var attention: Gemma3Attention
  var postAttentionNorm: RMSNorm
  var feedForwardNorm: RMSNorm
  var feedForward: GatedFeedForward
  var postFeedForwardNorm: RMSNorm
  let isLocal: Bool

  init(_ configuration: Gemma3Configuration, layer: Int) {
    func norm() -> RMSNorm { RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon) }
    attentionNorm = norm()
    attention = Gemma3Attention(configuration, layer: layer)
    postAttentionNorm = norm()
    feedForwardNorm = norm()
    feedForward = GatedFeedForward(
      configuration.hiddenSize, inner: configuration.innerSize,
      activation: .gelu(configuration.usesExactGELU ? .erf : .tanh))
    postFeedForwardNorm = norm()
    isLocal = configuration.localLayers[layer]
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

/// The text part of Gemma 3 (arXiv:2503.19786), 270M to 27B.
public struct Gemma3Model: LanguageModel {
  public let configuration: Gemma3Configuration
  var embedding: Embedding
  var blocks: [Gemma3Block]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let globalRotary: RotaryEmbedding
  private let localRotary: RotaryEmbedding

  public init(_ configuration: Gemma3Configuration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { Gemma3Block(configuration, layer: $0) }
    norm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    head = configuration.tiesEmbeddings ? nil : Linear(configuration.hiddenSize, configuration.vocabularySize)
    (globalRotary, localRotary) = (configuration.globalRotary, configuration.localRotary)
  }

  public func callAsFunction(_ tokens: Tensor, _ context: ForwardContext) -> Tensor {
    let (global, local) = (globalRotary(context), localRotary(context))
    // The root is rounded to the width of the arithmetic, as the reference implementation has it.
    var x = embedding(tokens) * Double(Float(configuration.hiddenSize).squareRoot())  // [R, D]
    for block in context.layers(blocks) { x = context.layer(x) { block($0, rotation: block.isLocal ? local : global, context) } }
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

extension Gemma3Configuration {
  var globalRotary: RotaryEmbedding { RotaryEmbedding(size: headSize, base: rotaryBase, scaling: rotaryScaling) }
  var localRotary: RotaryEmbedding { RotaryEmbedding(size: headSize, base: localRotaryBase) }
}
