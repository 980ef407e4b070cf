import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention whose queries and keys are normalised per head before rotation (arXiv:2505.09388, §2).
struct Qwen3MoEAttention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  var queryNorm: RMSNorm
  var keyNorm: RMSNorm
  let layer: Int
  let headSize: Int

  init(_ configuration: Qwen3MoEConfiguration, layer: Int) {
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
    let q = queryNorm(query(x).reshaped(rows, -1, headSize)).rotated(by: rotation)  // [R, H, K]
    let k = keyNorm(key(x).reshaped(rows, -1, headSize)).rotated(by: rotation)  // [R, G, K]
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

/// The feed-forward part of a block: experts, or in a few blocks an ordinary layer.
enum Qwen3MoEFeedForward: Module {
  case dense(GatedFeedForward)
  case experts(MixtureOfExperts)

  func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    switch self {
    case .dense(let layer): layer(x)
    case .experts(let layer): layer(x, context)
    }
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    switch self {
    case .dense(var layer):
      layer.visitChildren(&visitor)
      self = .dense(layer)
    case .experts(var layer):
      layer.visitChildren(&visitor)
      self = .experts(layer)
    }
  }
}

/// Qwen3 decoder block with experts (arXiv:2505.09388, §2): pre-norm, rotary attention, a few SwiGLU experts a token.
struct Qwen3MoEBlock: Module {
  var attentionNorm: RMSNorm
  var attention: Qwen3MoEAttention
  var feedForwardNorm: RMSNorm
  var feedForward: Qwen3MoEFeedForward

  init(_ configuration: Qwen3MoEConfiguration, layer: Int) {
    attentionNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = Qwen3MoEAttention(configuration, layer: layer)
    feedForwardNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    let width = configuration.hiddenSize
    feedForward =
      configuration.denseLayers.contains(layer)
      ? .dense(GatedFeedForward(width, inner: configuration.innerSize))
      : .experts(MixtureOfExperts(width, configuration.experts))
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

/// The Qwen3 models with experts (arXiv:2505.09388), 30B-A3B and 235B-A22B.
public struct Qwen3MoEModel: LinearHeadModel {
  public let configuration: Qwen3MoEConfiguration
  var embedding: Embedding
  var blocks: [Qwen3MoEBlock]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: Qwen3MoEConfiguration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { Qwen3MoEBlock(configuration, layer: $0) }
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
