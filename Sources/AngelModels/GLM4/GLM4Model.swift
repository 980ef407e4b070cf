import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention that rotates the beginning of each head (arXiv:2406.12793, §2).
struct GLM4Attention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let layer: Int
  let headSize: Int

  init(_ configuration: GLM4Configuration, layer: Int) {
    let (width, size) = (configuration.hiddenSize, configuration.headSize)
    let usesBias = configuration.usesAttentionBias
    query = Linear(width, configuration.headCount * size, usesBias: usesBias)
    key = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    value = Linear(width, configuration.keyValueHeadCount * size, usesBias: usesBias)
    output = Linear(configuration.headCount * size, width)
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

/// GLM-4-0414 decoder block: a norm before and after each of its two parts, SwiGLU.
struct GLM4Block: Module {
  var attentionNorm: RMSNorm
  var attention: GLM4Attention
  var postAttentionNorm: RMSNorm
  var feedForwardNorm: RMSNorm
  var feedForward: GatedFeedForward
  var postFeedForwardNorm: RMSNorm

  init(_ configuration: GLM4Configuration, layer: Int) {
    func norm() -> RMSNorm { RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon) }
    attentionNorm = norm()
    attention = GLM4Attention(configuration, layer: layer)
    postAttentionNorm = norm()
    feedForwardNorm = norm()
    feedForward = GatedFeedForward(configuration.hiddenSize, inner: configuration.innerSize)
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

/// The dense GLM-4-0414 models (arXiv:2406.12793), 9B and 32B.
public struct GLM4Model: LinearHeadModel {
  public let configuration: GLM4Configuration
  var embedding: Embedding
  var blocks: [GLM4Block]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: GLM4Configuration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { GLM4Block(configuration, layer: $0) }
    norm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    head = configuration.tiesEmbeddings ? nil : Linear(configuration.hiddenSize, configuration.vocabularySize)
    rotary = configuration.rotary
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

extension GLM4Configuration {
  var rotary: RotaryEmbedding { RotaryEmbedding(size: rotatedSize, base: rotaryBase, scaling: rotaryScaling) }
}
