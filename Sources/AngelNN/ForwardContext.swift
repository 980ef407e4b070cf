public import AngelTensor

/// What a forward pass needs beside its tokens. Rows of a step are tokens of any number of sequences, laid end to end.
public struct ForwardContext: Sendable {
  /// Where attention finds keys and values.
  private enum Source {
    /// Earlier tokens in cache blocks, to which each step adds its own.
    case cache(PagedCache)
    /// The rows themselves, whole sequences at once: training, scoring, encoders.
    case rows(Segments)
  }

  private let source: Source
  /// Tokens known of the sequence when the step began, this step's included; rotary scalings that depend on the length
  /// use it, so that the chunks of one prompt agree.
  public let sequenceLength: Int
  /// Whether training keeps only the input of each layer and runs the layer again for its gradients: a third more
  /// arithmetic for a fraction of the memory.
  public var recomputesLayers = false
  /// What training asks of the routers of experts; nil: nothing is watched.
  public var routers: RouterRegularizer?
  /// Layers that are left out, where a guess at the result is enough (self-speculation, arXiv:2309.08168).
  public var skippedLayers = 0..<0
  /// Told of every layer's input and output, in order, where a pass is looked into.
  public var watch: (@Sendable (_ input: Tensor, _ output: Tensor) -> Void)?

  /// A step of sequences whose earlier tokens are in `cache`.
  public init(cache: PagedCache, sequenceLength: Int) {
    source = .cache(cache)
    self.sequenceLength = sequenceLength
  }

  /// A step of whole sequences, without a cache.
  public init(segments: Segments) {
    source = .rows(segments)
    sequenceLength = segments.longest
  }

  /// [R] int32: the position of each row in its sequence.
  public var positions: Tensor {
    switch source {
    case .cache(let cache): cache.rowPositions
    case .rows(let segments): segments.positions
    }
  }

  /// Those of a model's layers that run.
  public func layers<Layer>(_ all: [Layer]) -> [Layer] {
    skippedLayers.isEmpty ? all : all.indices.filter { !skippedLayers.contains($0) }.map { all[$0] }
  }

  /// Runs one layer of a model on its input.
  public func layer(_ x: Tensor, _ run: @escaping @Sendable (Tensor) -> Tensor) -> Tensor {
    let result = recomputesLayers ? x.recomputed(by: run) : run(x)
    watch?(x, result)
    return result
  }

  /// Attends with `queries` [R, heads, headSize] over everything the rows may see of their own sequence, this step's
  /// keys and values ([R, kvHeads, headSize], rotated) included: [R, heads, headSize]. A cache stores them first.
  public func attention(
    _ queries: Tensor, keys: Tensor, values: Tensor, layer: Int, shape: AttentionShape
  ) -> Tensor {
    switch source {
    case .cache(let cache):
      cache.store(keys: keys, values: values, layer: layer)
      return cache.attend(queries, layer: layer, shape: shape)
    case .rows(let segments):
      return segmentAttention(queries, keys: keys, values: values, segments: segments, shape: shape)
    }
  }
}
