public import AngelNN
public import AngelTensor

/// The sizes of a dense Qwen2 model (arXiv:2407.10671, table 1).
public struct Qwen2Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 151_936
  /// Width of the residual stream (d_model).
  public var hiddenSize = 896
  /// Decoder blocks.
  public var layerCount = 24
  /// Query heads.
  public var headCount = 14
  /// Key-value heads, shared by groups of query heads.
  public var keyValueHeadCount = 2
  /// Width of a head.
  public var headSize = 64
  /// Width inside the feed-forward layer.
  public var innerSize = 4864
  /// The longest sequence the model was made for.
  public var contextLength = 32_768
  /// For each layer, how many positions up to its own a token sees; 0 for all.
  public var windows = [Int](repeating: 0, count: 24)
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-6
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 1_000_000
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = true

  public init() {}

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(
      layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize,
      windows: windows)
  }
}
