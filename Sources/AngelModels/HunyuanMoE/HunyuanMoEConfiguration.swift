public import AngelNN
public import AngelTensor

/// The sizes of a Hunyuan model with experts, first generation; the defaults are those of Hunyuan-A13B.
public struct HunyuanMoEConfiguration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 128_167
  /// Width of the residual stream (d_model).
  public var hiddenSize = 4096
  /// Query heads.
  public var headCount = 32
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 8
  /// Width of a head; not derived from the residual stream's.
  public var headSize = 128
  /// The experts of each block, one entry a block.
  public var experts = [MixtureOfExperts.Shape](
    repeating: .init(expertCount: 64, expertsPerToken: 8, innerSize: 3072, sharedInnerSize: 3072), count: 32)
  /// The longest sequence the model was made for.
  public var contextLength = 32_768
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-5
  /// Base of the rotary frequencies: 10,000 · alpha^(d / (d - 2)) with alpha 1000 and d 128.
  public var rotaryBase: Float = 11_158_840
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = true
  /// Whether the attention layers have biases.
  public var usesAttentionBias = false

  public init() {}

  /// Decoder blocks.
  public var layerCount: Int { experts.count }

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize)
  }
}
