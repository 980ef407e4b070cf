public import AngelNN
public import AngelTensor

/// The sizes of a GLM-4-0414 model; those of the 9B one.
public struct GLM4Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 151_552
  /// Width of the residual stream (d_model).
  public var hiddenSize = 4096
  /// Decoder blocks.
  public var layerCount = 40
  /// Query heads.
  public var headCount = 32
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 2
  /// Width of a head; not derived from the residual stream's.
  public var headSize = 128
  /// Elements of a head that are rotated, the first ones.
  public var rotatedSize = 64
  /// Width inside the feed-forward layer.
  public var innerSize = 13_696
  /// The longest sequence the model was made for.
  public var contextLength = 32_768
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-5
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 10_000
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = false
  /// Whether queries, keys and values have biases.
  public var usesAttentionBias = true

  public init() {}

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize)
  }
}
