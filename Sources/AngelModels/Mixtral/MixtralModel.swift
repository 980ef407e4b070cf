import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention with rotary positions in which a token sees a window of those before it (arXiv:2310.06825, §2).
struct MixtralAttention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let layer: Int
  let headSize: Int
  let window: Int

  init(_ configuration: MixtralConfiguration, layer: Int) {
    let (width, size) = (configuration.hiddenSize, configuration.headSize)
    query = Linear(width, configuration.headCount * size)
    key = Linear(width, configuration.keyValueHeadCount * size)
    value = Linear(width, configuration.keyValueHeadCount * size)
    output = Linear(configuration.headCount * size, width)
    self.layer = layer
    headSize = size
    window = configuration.window
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

/// Mixtral decoder block (arXiv:2401.04088, §2): Mistral's, with a few SwiGLU experts a token.
struct MixtralBlock: Module {
  var attentionNorm: RMSNorm
  var attention: MixtralAttention
  var feedForwardNorm: RMSNorm
  var feedForward: MixtureOfExperts

  init(_ configuration: MixtralConfiguration, layer: Int) {
    attentionNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = MixtralAttention(configuration, layer: layer)
    feedForwardNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    feedForward = MixtureOfExperts(configuration.hiddenSize, configuration.experts)
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let h = x + attention(attentionNorm(x), rotation: rotation, context)
    return h + feedForward(feedForwardNorm(h), context)
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("attentionNorm", &attentionNorm)
    visitor.visit("attention", &attention)
    visitor.visit("feedForwardNorm", &feedForwardNorm)
    visitor.visit("feedForward", &feedForward)
  }
}

/// Mixtral (arXiv:2401.04088), 8x7B and 8x22B.
public struct MixtralModel: LinearHeadModel {
  public let configuration: MixtralConfiguration
  var embedding: Embedding
  var blocks: [MixtralBlock]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: MixtralConfiguration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { MixtralBlock(configuration, layer: $0) }
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
