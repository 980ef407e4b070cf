public import AngelNN
public import AngelTensor

/// The sizes of a Qwen3 model with experts (arXiv:2505.09388, §2); the defaults are those of Qwen3-30B-A3B.
public struct Qwen3MoEConfiguration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 151_936
  /// Width of the residual stream (d_model).
  public var hiddenSize = 2048
  /// Decoder blocks.
  public var layerCount = 48
  /// Query heads.
  public var headCount = 32
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 4
  /// Width of a head; not derived from the residual stream's.
  public var headSize = 128
  /// Width inside the feed-forward layer of blocks without experts.
  public var innerSize = 6144
  /// The experts of every block that has them.
  public var experts = MixtureOfExperts.Shape(expertCount: 128, expertsPerToken: 8, innerSize: 768)
  /// The blocks with an ordinary feed-forward layer instead of experts.
  public var denseLayers: Set<Int> = []
  /// The longest sequence the model was made for.
  public var contextLength = 40_960
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-6
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 1_000_000
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
