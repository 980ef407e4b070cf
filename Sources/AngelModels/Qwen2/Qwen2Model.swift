import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention with rotary positions, biases on queries, keys and values, and in some layers a window
/// (arXiv:2407.10671, §2.2).
struct Qwen2Attention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let layer: Int
  let headSize: Int
  let window: Int

  init(_ configuration: Qwen2Configuration, layer: Int) {
    let (width, size) = (configuration.hiddenSize, configuration.headSize)
    query = Linear(width, configuration.headCount * size, usesBias: true)
    key = Linear(width, configuration.keyValueHeadCount * size, usesBias: true)
    value = Linear(width, configuration.keyValueHeadCount * size, usesBias: true)
    output = Linear(configuration.headCount * size, width)
    self.layer = layer
    headSize = size
    window = configuration.windows[layer]
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let rows = x.shape[0]
    let q = query(x).reshaped(rows, -1, headSize).rotated(by: rotation)  // [R, H, K]
    let k = key(x).reshaped(rows, -1, headSize).rotated(by: rotation)  // [R, G, K]
    let v = value(x).reshaped(rows, -1, headSize)  // [R, G, K]
    let attended = context.attention(
      q, keys: k, values: v, layer: layer,
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

/// Qwen2 decoder block (arXiv:2407.10671, §2.2): pre-norm, rotary attention, SwiGLU.
struct Qwen2Block: Module {
  var attentionNorm: RMSNorm
  var attention: Qwen2Attention
  var feedForwardNorm: RMSNorm
  var feedForward: GatedFeedForward

  init(_ configuration: Qwen2Configuration, layer: Int) {
    attentionNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = Qwen2Attention(configuration, layer: layer)
    feedForwardNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    feedForward = GatedFeedForward(configuration.hiddenSize, inner: configuration.innerSize)
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

/// The dense Qwen2 and Qwen2.5 models (arXiv:2407.10671, arXiv:2412.15115), 0.5B to 72B.
public struct Qwen2Model: LinearHeadModel {
  public let configuration: Qwen2Configuration
  var embedding: Embedding
  var blocks: [Qwen2Block]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: Qwen2Configuration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { Qwen2Block(configuration, layer: $0) }
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
