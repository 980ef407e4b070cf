import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention that in some layers knows nothing of positions but their order (arXiv:2501.18795, §3: RoPE and
/// NoPE layers in turn), and in some has a window.
struct SmolLM3Attention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let layer: Int
  let headSize: Int
  let isRotary: Bool
  let window: Int

  init(_ configuration: SmolLM3Configuration, layer: Int) {
    let (width, size) = (configuration.hiddenSize, configuration.headSize)
    let usesBias = configuration.usesAttentionBias
    query = Linear(width, configuration.headCount * size, usesBias: usesBias)
    key = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    value = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    output = Linear(configuration.headCount * size, width, usesBias: usesBias)
    self.layer = layer
    headSize = size
    isRotary = configuration.rotaryLayers[layer]
    window = configuration.windows[layer]
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let rows = x.shape[0]
    let q = query(x).reshaped(rows, -1, headSize)  // [R, H, K]
    let k = key(x).reshaped(rows, -1, headSize)  // [R, G, K]
    let v = value(x).reshaped(rows, -1, headSize)  // [R, G, K]
    let attended = context.attention(
      isRotary ? q.rotated(by: rotation) : q, keys: isRotary ? k.rotated(by: rotation) : k, values: v, layer: layer,
      shape: AttentionShape(scale: 1 / Float(headSize).squareRoot(), window: window))
    return output(attended.reshaped(rows, -1))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("query", &query)
    visitor.visit("key", &key)
    visitor.visit("value", &value)
    visitor.visit("output", &output)
  }
}

/// SmolLM3 decoder block: Llama's (arXiv:2302.13971, §2.2).
struct SmolLM3Block: Module {
  var attentionNorm: RMSNorm
  var attention: SmolLM3Attention
  var feedForwardNorm: RMSNorm
  var feedForward: GatedFeedForward

  init(_ configuration: SmolLM3Configuration, layer: Int) {
    attentionNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = SmolLM3Attention(configuration, layer: layer)
    feedForwardNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    feedForward = GatedFeedForward(
      configuration.hiddenSize, inner: configuration.innerSize, usesBias: configuration.usesFeedForwardBias)
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let h = x + attention(attentionNorm(x), rotation: rotation, context)
    return h + feedForward(feedForwardNorm(h))
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("attentionNorm", &attentionNorm)
    visitor.visit("attention", &attention)
    visitor.visit("feedForwardNorm", &feedForwardNorm)
    visitor.visit("feedForward", &feedForward)
  }
}

/// SmolLM3 (Hugging Face 2025): Llama with a layer in four that does not rotate.
public struct SmolLM3Model: LinearHeadModel {
  public let configuration: SmolLM3Configuration
  var embedding: Embedding
  var blocks: [SmolLM3Block]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: SmolLM3Configuration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { SmolLM3Block(configuration, layer: $0) }
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
