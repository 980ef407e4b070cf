public import AngelNN
public import AngelTensor

/// The sizes of a dense Hunyuan model; those of the 1.8B one.
public struct HunyuanDenseConfiguration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 120_818
  /// Width of the residual stream (d_model).
  public var hiddenSize = 2048
  /// Decoder blocks.
  public var layerCount = 32
  /// Query heads.
  public var headCount = 16
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 4
  /// Width of a head; not derived from the residual stream's.
  public var headSize = 128
  /// Width inside the feed-forward layer.
  public var innerSize = 6144
  /// The longest sequence the model was made for.
  public var contextLength = 262_144
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-5
  /// Base of the rotary frequencies, with the stretching factor alpha taken in.
  public var rotaryBase: Float = 11_158_840
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = true
  /// Whether the attention layers have biases.
  public var usesAttentionBias = false

  public init() {}

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize)
  }
}
