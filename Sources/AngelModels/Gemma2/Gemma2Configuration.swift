public import AngelNN
public import AngelTensor

/// The sizes of a Gemma 2 model (arXiv:2408.00118, table 1); those of the 2B one.
public struct Gemma2Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 256_000
  /// Width of the residual stream (d_model).
  public var hiddenSize = 2304
  /// Decoder blocks.
  public var layerCount = 26
  /// Query heads.
  public var headCount = 8
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 4
  /// Width of a head; not derived from the residual stream's.
  public var headSize = 256
  /// Queries are divided by the square root of this; the head size in most of the models.
  public var queryScalar: Float = 256
  /// Width inside the feed-forward layer.
  public var innerSize = 9216
  /// The longest sequence the model was made for.
  public var contextLength = 8192
  /// Which layers are local: a token sees `window` positions up to its own.
  public var localLayers = (1...26).map { $0 % 2 != 0 }
  /// Positions a token sees in local layers, at least 1.
  public var window = 4096
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-6
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 10_000
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Keeps the scores of attention within plus and minus this; 0 for no cap.
  public var scoreSoftCap: Float = 50
  /// Keeps logits within plus and minus this; 0 for no cap.
  public var logitSoftCap: Float = 30
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = true
  /// Whether the attention layers have biases.
  public var usesAttentionBias = false
  /// Whether gates go through GELU's definition instead of its approximation by tanh.
  public var usesExactGELU = false

  public init() {}

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(
      layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize,
      windows: localLayers.map { $0 ? window : 0 })
  }
}
