public import AngelNN
public import AngelTensor

/// The sizes of a SmolLM3 model; those of the 3B one.
public struct SmolLM3Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 128_256
  /// Width of the residual stream (d_model).
  public var hiddenSize = 2048
  /// Decoder blocks.
  public var layerCount = 36
  /// Query heads.
  public var headCount = 16
  /// Equal to `headCount` for multi-head attention, fewer for grouped queries.
  public var keyValueHeadCount = 4
  /// Width of a head.
  public var headSize = 128
  /// Width inside the feed-forward layer.
  public var innerSize = 11_008
  /// The longest sequence the model was made for.
  public var contextLength = 65_536
  /// Which layers rotate queries and keys.
  public var rotaryLayers = (1...36).map { $0 % 4 != 0 }
  /// For each layer, how many positions up to its own a token sees; 0 for all.
  public var windows = [Int](repeating: 0, count: 36)
  /// Added to the mean square in norms.
  public var normEpsilon: Float = 1e-6
  /// Base of the rotary frequencies.
  public var rotaryBase: Float = 2_000_000
  /// How rotary frequencies are stretched.
  public var rotaryScaling = RotaryScaling.none
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = true
  /// Whether the attention layers have biases.
  public var usesAttentionBias = false
  /// Whether the feed-forward layers have biases.
  public var usesFeedForwardBias = false

  public init() {}

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(
      layerCount: layerCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize,
      windows: windows)
  }
}
