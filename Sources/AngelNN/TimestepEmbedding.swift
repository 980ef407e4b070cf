import AngelCore
public import AngelTensor

/// What a diffusion model knows of the time: waves of the step, then two linear layers with a SiLU between
/// (arXiv:2006.11239, appendix B; arXiv:2212.09748, §3.2).
public struct TimestepEmbedding: Module {
  public let waves: TimestepWaves
  var first: Linear
  var second: Linear

  public init(_ waves: TimestepWaves, width: Int) {
    self.waves = waves
    first = Linear(waves.count, width, usesBias: true)
    second = Linear(width, width, usesBias: true)
  }

  /// Steps [N] in float32 → [N, width]
  public func callAsFunction(_ steps: Tensor) -> Tensor { second(silu(first(waves(steps)))) }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("first", &first)
    visitor.visit("second", &second)
  }
}
