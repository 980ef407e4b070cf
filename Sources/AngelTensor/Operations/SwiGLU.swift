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
      gate: inputs[0].floats, up: inputs[1].floats, output: output.mutableFloats,
      count: Int64(output.shape.elementCount))
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(bytes: 3 * output.byteCount, multiplyAdds: 64 * output.shape.elementCount)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? { silu(inputs[0]) * inputs[1] }

  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (gate, up) = (inputs[0], inputs[1])
    return { gradient in
      let results = fusedGradients(gate, up, gradient) ?? composedGradients(gate, up, gradient)
      return zip(wanted, results).map { $0 ? $1 : nil }
    }
  }

  /// With s = sigmoid(gate): dgate = dy up (s + gate s (1 - s)), dup = dy gate s.
  private func composedGradients(_ gate: Tensor, _ up: Tensor, _ gradient: Tensor) -> [Tensor] {
    let sigmoid = sigmoid(gate)
    let silu = gate * sigmoid
    return [gradient * up * (sigmoid + silu * (1 - sigmoid)), gradient * silu]
  }

  /// The same by one kernel (swiglu.h); nil where the backend has none.
  private func fusedGradients(_ gate: Tensor, _ up: Tensor, _ gradient: Tensor) -> [Tensor]? {
    let backend = gate.backend
    guard let kernel = backend.kernel(ANGEL_FAMILY_swiglu_backward, KernelDTypes(gate.dtype)) else { return nil }
    let results = [gate, up].map { Tensor(uninitialized: $0.specification, on: backend) }
    let arguments = angel_swiglu_backward_arguments(
      gate: gate.floats, up: up.floats, gradient: gradient.floats, gate_gradient: results[0].mutableFloats,
      up_gradient: results[1].mutableFloats, count: Int64(gate.shape.elementCount))
    let work = Work(bytes: 5 * gate.specification.byteCount, multiplyAdds: 64 * gate.shape.elementCount)
    withUnsafeBytes(of: arguments) { backend.launch(kernel, $0, work: work) }
    withExtendedLifetime((gate, up, gradient)) {}
    return results
  }
}

/// silu(gate) * up, elementwise over equal shapes.
public func swiGLU(gate: Tensor, up: Tensor) -> Tensor { SwiGLU()(gate, up) }
