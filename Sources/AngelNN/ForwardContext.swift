public import AngelTensor

/// What a forward pass needs beside its tokens. Rows of a step are tokens of any number of sequences, laid end to end.
public struct ForwardContext: Sendable {
  /// Keys and values of earlier tokens, and where each row of this step stands: its sequence and its position.
  public let cache: PagedCache
  /// Tokens known of the sequence when the step began, this step's included; rotary scalings that depend on the length
  /// use it, so that the chunks of one prompt agree.
  public let sequenceLength: Int

  public init(cache: PagedCache, sequenceLength: Int) {
    self.cache = cache
    self.sequenceLength = sequenceLength
  }

  /// [R] int32: the absolute position of each row.
  public var positions: Tensor { cache.rowPositions }

  /// Stores this step's keys and values ([R, kvHeads, headSize], rotated) and attends with `queries` [R, heads, headSize]
  /// over everything the rows may see: [R, heads, headSize].
  public func attention(
    _ queries: Tensor, keys: Tensor, values: Tensor, layer: Int, shape: AttentionShape
  ) -> Tensor {
    cache.store(keys: keys, values: values, layer: layer)
    return cache.attend(queries, layer: layer, shape: shape)
  }
}
