public import AngelNN
public import AngelTensor

/// The sizes of a GPT-2 model (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", §2.3); those of
/// the smallest.
public struct GPT2Configuration: LanguageModelConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 50_257
  /// Width of the residual stream (d_model); a whole number of heads.
  public var hiddenSize = 768
  /// Decoder blocks.
  public var layerCount = 12
  /// Heads, each with keys and values of its own.
  public var headCount = 12
  /// Width inside the feed-forward layer.
  public var innerSize = 3072
  /// The longest sequence: positions have learned embeddings, so there can be no further one.
  public var contextLength = 1024
  /// Added to the variance in norms.
  public var normEpsilon: Float = 1e-5
  /// Whether the feed-forward layer has GELU's definition instead of its approximation by tanh.
  public var usesExactGELU = false
  /// Whether scores are divided by the square root of the head size.
  public var scalesByHeadSize = true
  /// Whether scores are divided by the number of the layer, counted from 1.
  public var scalesByLayer = false
  /// Whether the output head is the embedding.
  public var tiesEmbeddings = true
  /// What the names of tensors in Hugging Face files begin with: nothing in the first release.
  public var namePrefix = "transformer."

  public init() {}

  /// Width of a head.
  public var headSize: Int { hiddenSize / headCount }
  public var keyValueHeadCount: Int { headCount }
  public var rotaryScaling: RotaryScaling { .none }

  public var cacheGeometry: CacheGeometry {
    CacheGeometry(layerCount: layerCount, keyValueHeadCount: headCount, headSize: headSize)
  }
}
