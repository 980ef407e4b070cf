public import AngelNN
public import AngelTensor

/// The sizes of a Phi-3 model (arXiv:2404.14219, §2); those of the mini one with a context of 4096.
public struct Phi3Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 32_064
  /// Width of the residual stream (d_model).
  public var hiddenSize = 3072
  /// Decoder blocks.
  public var layerCount = 32
  /// Query heads.
  public var headCount = 32
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 32
  /// Width of a head.
  public var headSize = 96
  /// Elements of a head that are rotated, the first ones.
  public var rotatedSize = 96
  /// Width inside the feed-forward layer.
  public var innerSize = 8192
  /// The longest sequence the model was made for.
  public var contextLength = 4096
  /// A token sees this many positions up to its own; 0 for all.
  public var window = 2047
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-5
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 10_000
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
