import AngelCore
public import AngelTensor

/// down(activation(gate(x)) * up(x)), the gated feed-forward layer (arXiv:2002.05202): SwiGLU or GeGLU.
public struct GatedFeedForward: Module {
  /// What the gate goes through.
  public enum Activation: Hashable, Sendable {
    case silu
    case gelu(GELUForm)
  }

  var gate: Linear
  var up: Linear
  var down: Linear
  let activation: Activation

  /// - Parameter tokenShare: the share of all tokens that go through it, for counting arithmetic.
  public init(
    _ width: Int, inner: Int, activation: Activation = .silu, usesBias: Bool = false, tokenShare: Double = 1
  ) {
    gate = Linear(width, inner, usesBias: usesBias, tokenShare: tokenShare)
    up = Linear(width, inner, usesBias: usesBias, tokenShare: tokenShare)
    down = Linear(inner, width, usesBias: usesBias, tokenShare: tokenShare)
    self.activation = activation
  }

  /// [R, width] → [R, width]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    switch activation {
    case .silu: down(swiGLU(gate: gate(x), up: up(x)))
    case .gelu(let form): down(geGLU(gate: gate(x), up: up(x), form))
    }
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("gate", &gate)
    visitor.visit("up", &up)
    visitor.visit("down", &down)
  }
}
