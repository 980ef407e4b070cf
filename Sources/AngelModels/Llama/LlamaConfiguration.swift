public import AngelNN
public import AngelTensor

/// The sizes of a Llama model (arXiv:2302.13971; grouped queries as in arXiv:2307.09288).
public struct LlamaConfiguration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 32_000
  /// Width of the residual stream (d_model).
  public var hiddenSize = 4096
  /// Decoder blocks.
  public var layerCount = 32
  /// Query heads.
  public var headCount = 32
  /// Equal to `headCount` for multi-head attention, fewer for grouped queries.
  public var keyValueHeadCount = 32
  /// Width of a head.
  public var headSize = 128
  /// Width inside the feed-forward layer.
  public var innerSize = 11_008
  /// The longest sequence the model was made for.
  public var contextLength = 2048
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-6
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 10_000
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = false
  /// Whether the attention layers have biases.
  public var usesAttentionBias = false
  /// Whether the feed-forward layers have biases.
  public var usesFeedForwardBias = false

  public init() {}

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize)
  }
}
