import AngelCore
public import AngelTensor

/// down(silu(gate(x)) * up(x)), the SwiGLU feed-forward layer (arXiv:2002.05202).
public struct GatedFeedForward: Module {
  var gate: Linear
  var up: Linear
  var down: Linear

  public init(_ width: Int, inner: Int, usesBias: Bool = false) {
    gate = Linear(width, inner, usesBias: usesBias)
    up = Linear(width, inner, usesBias: usesBias)
    down = Linear(inner, width, usesBias: usesBias)
  }

  /// [R, width] → [R, width]
  public func callAsFunction(_ x: Tensor) -> Tensor { down(swiGLU(gate: gate(x), up: up(x))) }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("gate", &gate)
    visitor.visit("up", &up)
    visitor.visit("down", &down)
  }
}
