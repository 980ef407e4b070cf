/// The sizes of a BERT encoder (arXiv:1810.04805); the defaults are those of all-MiniLM-L6-v2.
public struct BertConfiguration: TextEncoderConfiguration {
  /// Entries of the vocabulary.
  public var vocabularySize = 30_522
  /// Width of the residual stream (d_model).
  public var hiddenSize = 384
  /// Encoder blocks.
  public var layerCount = 6
  /// Attention heads.
  public var headCount = 12
  /// Width inside the feed-forward layer.
  public var innerSize = 1536
  /// Learned positions: the longest sequence.
  public var contextLength = 512
  /// Kinds of text a token may belong to, such as question and answer.
  public var tokenTypeCount = 2
  /// Added to the variance in norms.
  public var normEpsilon: Float = 1e-12
  /// What stands before every name in the file: `bert.` where a model for a task holds the encoder as a part.
  public var namePrefix = ""

  public init() {}

  /// Width of a head.
  public var headSize: Int { hiddenSize / headCount }
}
