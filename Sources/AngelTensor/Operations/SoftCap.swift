import AngelCore
package import CAngelKernels

/// cap * tanh(x / cap), which keeps values within ±cap (arXiv:2408.00118, §2; softcap.h).
package struct SoftCap: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_softcap }
  package let cap: Float

  package init(_ cap: Float) {
    precondition(cap > 0, "softcap: a cap of \(cap) is not above 0")
    self.cap = cap
  }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification { inputs[0] }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_softcap_arguments {
    angel_softcap_arguments(
      input: inputs[0].floats, output: output.mutableFloats, count: Int64(output.shape.elementCount), cap: cap)
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(bytes: 2 * output.byteCount, multiplyAdds: 64 * output.shape.elementCount)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? { tanh(inputs[0] / Double(cap)) * Double(cap) }

  /// dx = dy (1 - (y / cap)²)
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    { [$0 * (1 - (output / Double(cap)).squared())] }
  }
}

extension Tensor {
  /// cap * tanh(x / cap), elementwise; `cap` is above 0.
  public func softCapped(at cap: Float) -> Tensor { SoftCap(cap)(self) }
}
