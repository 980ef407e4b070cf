import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention with rotary positions (arXiv:2302.13971 §2.2, arXiv:2305.13245).
struct LlamaAttention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let layer: Int
  let headSize: Int

  init(_ configuration: LlamaConfiguration, layer: Int) {
    let (width, size) = (configuration.hiddenSize, configuration.headSize)
    let usesBias = configuration.usesAttentionBias
    query = Linear(width, configuration.headCount * size, usesBias: usesBias)
    key = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    value = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    output = Linear(configuration.headCount * size, width, usesBias: usesBias)
    self.layer = layer
    headSize = size
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let rows = x.shape[0]
    let q = query(x).reshaped(rows, -1, headSize).rotated(by: rotation)  // [R, H, K]
    let k = key(x).reshaped(rows, -1, headSize).rotated(by: rotation)  // [R, G, K]
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
  }
}

/// Llama decoder block (arXiv:2302.13971, §2.2): pre-norm, rotary attention, SwiGLU.
struct LlamaBlock: Module {
  var attentionNorm: RMSNorm
  var attention: LlamaAttention
  var feedForwardNorm: RMSNorm
  var feedForward: GatedFeedForward

  init(_ configuration: LlamaConfiguration, layer: Int) {
    attentionNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = LlamaAttention(configuration, layer: layer)
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

/// Llama and everything shaped like it (arXiv:2302.13971): SmolLM2, TinyLlama, Llama 2 and 3.
public struct LlamaModel: LinearHeadModel {
  public let configuration: LlamaConfiguration
  var embedding: Embedding
  var blocks: [LlamaBlock]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: LlamaConfiguration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { LlamaBlock(configuration, layer: $0) }
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
