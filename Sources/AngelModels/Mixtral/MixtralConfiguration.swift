public import AngelNN
public import AngelTensor

/// The sizes of a Mixtral model (arXiv:2401.04088, table 1); the defaults are those of 8x7B.
public struct MixtralConfiguration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 32_000
  /// Width of the residual stream (d_model).
  public var hiddenSize = 4096
  /// Decoder blocks.
  public var layerCount = 32
  /// Query heads.
  public var headCount = 32
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 8
  /// Width of a head.
  public var headSize = 128
  /// The experts of every block.
  public var experts = MixtureOfExperts.Shape(expertCount: 8, expertsPerToken: 2, innerSize: 14_336)
  /// The longest sequence the model was made for.
  public var contextLength = 32_768
  /// A token sees this many positions up to its own; 0 for all.
  public var window = 0
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-5
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 1_000_000
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = false

  public init() {}

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(
      layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize,
      windows: Array(repeating: window, count: layerCount))
  }
}
