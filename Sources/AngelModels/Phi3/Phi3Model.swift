import AngelCore
public import AngelNN
public import AngelTensor

/// Grouped-query attention that may rotate only the beginning of each head and see only a window (arXiv:2404.14219, §2).
struct Phi3Attention: Module {
  var query: Linear
  var key: Linear
  var value: Linear
  var output: Linear
  let layer: Int
  let headSize: Int
  let window: Int

  init(_ configuration: Phi3Configuration, layer: Int) {
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

/// Phi-3 decoder block (arXiv:2404.14219, §2): pre-norm, rotary attention, SwiGLU.
struct Phi3Block: Module {
  var attentionNorm: RMSNorm
  var attention: Phi3Attention
  var feedForwardNorm: RMSNorm
  var feedForward: GatedFeedForward

  init(_ configuration: Phi3Configuration, layer: Int) {
    attentionNorm = RMSNorm(configuration.hiddenSize, epsilon: configuration.normEpsilon)
    attention = Phi3Attention(configuration, layer: layer)
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

/// Phi-3, Phi-3.5 and Phi-4 (arXiv:2404.14219, arXiv:2412.08905, arXiv:2503.01743), dense.
public struct Phi3Model: LinearHeadModel {
  public let configuration: Phi3Configuration
  var embedding: Embedding
  var blocks: [Phi3Block]
  var norm: RMSNorm
  /// Nil where the embedding is the output head.
  var head: Linear?
  private let rotary: RotaryEmbedding

  public init(_ configuration: Phi3Configuration) {
    self.configuration = configuration
    embedding = Embedding(configuration.vocabularySize, configuration.hiddenSize)
    blocks = (0..<configuration.layerCount).map { Phi3Block(configuration, layer: $0) }
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

extension Phi3Configuration {
  var rotary: RotaryEmbedding { RotaryEmbedding(size: rotatedSize, base: rotaryBase, scaling: rotaryScaling) }
}
