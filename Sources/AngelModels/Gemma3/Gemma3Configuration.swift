public import AngelNN
public import AngelTensor

/// The sizes of a Gemma 3 text model (arXiv:2503.19786, §2); those of the 270M one.
public struct Gemma3Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 262_144
  /// Width of the residual stream (d_model).
  public var hiddenSize = 640
  /// Decoder blocks.
  public var layerCount = 18
  /// Query heads.
  public var headCount = 4
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 1
  /// Width of a head; not derived from the residual stream's.
  public var headSize = 256
  /// Queries are divided by the square root of this; the head size in most of the models.
  public var queryScalar: Float = 256
  /// Width inside the feed-forward layer.
  public var innerSize = 2048
  /// The longest sequence the model was made for.
  public var contextLength = 32_768
  /// Which layers are local: a token sees `window` positions up to its own, rotated by `localRotaryBase`.
  public var localLayers = (1...18).map { $0 % 6 != 0 }
  /// Positions a token sees in local layers, at least 1.
  public var window = 512
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-6
  /// Base of the rotary frequencies of the other layers, which see everything.
  public var rotaryBase: Float = 1_000_000
  /// How rotary frequencies of the other layers are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Base of the rotary frequencies of local layers.
  public var localRotaryBase: Float = 10_000
  /// Keeps logits within plus and minus this; 0 for no cap.
  public var logitSoftCap: Float = 0
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
