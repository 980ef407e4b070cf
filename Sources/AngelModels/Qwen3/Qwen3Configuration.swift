public import AngelNN
public import AngelTensor

/// The sizes of a dense Qwen3 model (arXiv:2505.09388).
public struct Qwen3Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 151_936
  /// Width of the residual stream (d_model).
  public var hiddenSize = 1024
  /// Decoder blocks.
  public var layerCount = 28
  /// Query heads.
  public var headCount = 16
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 8
  /// Width of a head; not derived from the residual stream's.
  public var headSize = 128
  /// Width inside the feed-forward layer.
  public var innerSize = 3072
  /// The longest sequence the model was made for.
  public var contextLength = 40_960
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-6
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 1_000_000
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
