import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention whose queries and keys are normalised per head after rotation (transformers,
/// `hunyuan_v1_moe`). Norm and rotation commute but for the norm's weight, so the order shows.
struct HunyuanMoEAttention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  var queryNorm: RMSNorm
  var keyNorm: RMSNorm
  let layer: Int
  let headSize: Int

  init(_ configuration: HunyuanMoEConfiguration, layer: Int) {
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
  }

  func callAsFunction(_ x: Tensor, rotation: Tensor, _ context: ForwardContext) -> Tensor {
    let rows = x.shape[0]
    let q = queryNorm(query(x).reshaped(rows, -1, headSize).rotated(by: rotation))  // [R, H, K]
    let k = keyNorm(key(x).reshaped(rows, -1, headSize).rotated(by: rotation))  // [R, G, K]
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

/// Hunyuan decoder block with experts: pre-norm, rotary attention, a shared SwiGLU part and a few experts a token.
struct HunyuanMoEBlock: Module {
  var attentionNorm: RMSNorm
  var attention: HunyuanMoEAttention
  var feedForwardNorm: RMSNorm
  var feedForward: MixtureOfExperts

  init(_ configuration: HunyuanMoEConfiguration, layer: Int) {
    attentionNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = HunyuanMoEAttention(configuration, layer: layer)
    feedForwardNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    feedForward = MixtureOfExperts(configuration.hiddenSize, configuration.experts[layer])
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

/// The first Hunyuan models with experts (Tencent Hunyuan-A13B, technical report of 2025).
public struct HunyuanMoEModel: LinearHeadModel {
  public let configuration: HunyuanMoEConfiguration
  var embedding: Embedding
  var blocks: [HunyuanMoEBlock]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: HunyuanMoEConfiguration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { HunyuanMoEBlock(configuration, layer: $0) }
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
