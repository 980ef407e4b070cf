public import AngelNN
public import AngelTensor

/// The sizes of an OLMo 2 model (arXiv:2501.00656, table 2); those of the 1B one.
public struct Olmo2Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 100_352
  /// Width of the residual stream (d_model).
  public var hiddenSize = 2048
  /// Decoder blocks.
  public var layerCount = 16
  /// Query heads.
  public var headCount = 16
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 16
  /// Width of a head.
  public var headSize = 128
  /// Width inside the feed-forward layer.
  public var innerSize = 8192
  /// The longest sequence the model was made for.
  public var contextLength = 4096
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-6
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 500_000
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = false
  /// Whether the attention layers have biases.
  public var usesAttentionBias = false

  public init() {}

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize)
  }
}
