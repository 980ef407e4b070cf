import AngelCore
package import CAngelKernels

/// The gate of a gated feed-forward layer, silu(gate) * up (arXiv:2002.05202, swiglu.h).
package struct SwiGLU: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_swiglu }

  package init() {}

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    precondition(inputs[0] == inputs[1], "swiglu: gate \(inputs[0]) and up \(inputs[1]) differ")
    return inputs[0]
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_swiglu_arguments {
    angel_swiglu_arguments(
      gate: UnsafeRawPointer(inputs[0].address), up: UnsafeRawPointer(inputs[1].address), output: output.address,
      count: Int64(output.shape.elementCount))
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(bytes: 3 * output.byteCount, multiplyAdds: 64 * output.shape.elementCount)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? { silu(inputs[0]) * inputs[1] }
}

/// silu(gate) * up, elementwise over equal shapes.
public func swiGLU(gate: Tensor, up: Tensor) -> Tensor { SwiGLU()(gate, up) }
