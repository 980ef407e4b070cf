import AngelCore
public import AngelTensor

/// down(gelu(up(x))), the feed-forward layer of the first Transformers (arXiv:1706.03762, §3.3) with GELU.
public struct FeedForward: Module {
  var up: Linear
  var down: Linear
  let form: GELUForm

  public init(_ width: Int, inner: Int, _ form: GELUForm, usesBias: Bool = true) {
    up = Linear(width, inner, usesBias: usesBias)
    down = Linear(inner, width, usesBias: usesBias)
    self.form = form
  }

  /// [R, width] → [R, width]
  public func callAsFunction(_ x: Tensor) -> Tensor { down(gelu(up(x), form)) }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("up", &up)
    visitor.visit("down", &down)
  }
}
