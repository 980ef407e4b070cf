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

  public init(_ width: Int, inner: Int, activation: Activation = .silu, usesBias: Bool = false) {
    gate = Linear(width, inner, usesBias: usesBias)
    up = Linear(width, inner, usesBias: usesBias)
    down = Linear(inner, width, usesBias: usesBias)
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
