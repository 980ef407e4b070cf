import AngelCore
import CAngelKernels

/// The gradients of activation(gate) * up by gate and up.
typealias GatedGradients = (gate: Tensor, up: Tensor)

extension SwiGLU {
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (gate, up) = (inputs[0], inputs[1])
    return { gradient in
      let results = fusedGradients(gate, up, gradient) ?? composedGradients(gate, up, gradient)
      return [wanted[0] ? results.gate : nil, wanted[1] ? results.up : nil]
    }
  }

  /// With s = sigmoid(gate): dgate = dy up (s + gate s (1 - s)), dup = dy gate s.
  private func composedGradients(_ gate: Tensor, _ up: Tensor, _ gradient: Tensor) -> GatedGradients {
    let sigmoid = sigmoid(gate)
    let silu = gate * sigmoid
    return (gradient * up * (sigmoid + silu * (1 - sigmoid)), gradient * silu)
  }

  /// The same by one kernel (swiglu.h); nil where the backend has none.
  private func fusedGradients(_ gate: Tensor, _ up: Tensor, _ gradient: Tensor) -> GatedGradients? {
    let backend = gate.backend
    guard let kernel = backend.kernel(ANGEL_FAMILY_swiglu_backward, KernelDTypes(gate.dtype)) else { return nil }
    let results = (
      gate: Tensor(uninitialized: gate.specification, on: backend),
      up: Tensor(uninitialized: up.specification, on: backend)
    )
    let arguments = angel_swiglu_backward_arguments(
      gate: UnsafeRawPointer(gate.address), up: UnsafeRawPointer(up.address),
      gradient: UnsafeRawPointer(gradient.address), gate_gradient: results.gate.address,
      up_gradient: results.up.address, count: Int64(gate.shape.elementCount))
    let work = Work(bytes: 5 * gate.specification.byteCount, multiplyAdds: 64 * gate.shape.elementCount)
    backend.launch(kernel, arguments, work, keeping: gate, up, gradient)
    return results
  }
}

extension GEGLU {
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (gate, up) = (inputs[0], inputs[1])
    return { gradient in
      let results =
        fusedGradients(gate, up, gradient) ?? (gradient * up * GELU(form).slope(at: gate), gradient * gelu(gate, form))
      return [wanted[0] ? results.gate : nil, wanted[1] ? results.up : nil]
    }
  }

  /// By one kernel (geglu.h); nil where the backend has none.
  private func fusedGradients(_ gate: Tensor, _ up: Tensor, _ gradient: Tensor) -> GatedGradients? {
    let backend = gate.backend
    guard let kernel = backend.kernel(ANGEL_FAMILY_geglu_backward, KernelDTypes(gate.dtype)) else { return nil }
    let results = (
      gate: Tensor(uninitialized: gate.specification, on: backend),
      up: Tensor(uninitialized: up.specification, on: backend)
    )
    let arguments = angel_geglu_backward_arguments(
      gate: UnsafeRawPointer(gate.address), up: UnsafeRawPointer(up.address),
      gradient: UnsafeRawPointer(gradient.address), gate_gradient: results.gate.address,
      up_gradient: results.up.address, count: Int64(gate.shape.elementCount), form: form.kernelForm)
    let work = Work(bytes: 5 * gate.specification.byteCount, multiplyAdds: 96 * gate.shape.elementCount)
    backend.launch(kernel, arguments, work, keeping: gate, up, gradient)
    return results
  }
}

extension GELU {
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let x = inputs[0]
    return { gradient in [fusedGradient(x, gradient) ?? gradient * slope(at: x)] }
  }

  /// The derivative: the mass below x plus x times the density at x, or what stands for them in the other form.
  func slope(at x: Tensor) -> Tensor {
    switch form {
    case .erf:
      let mass = 0.5 * (1 + erf(x * 0.5.squareRoot()))
      return mass + x * exp(x.squared() * -0.5) / (2 * Double.pi).squareRoot()
    case .tanh:
      let factor = (8 / Double.pi).squareRoot()
      let mass = sigmoid(factor * (x + 0.044715 * x.squared() * x))
      return mass + x * mass * (1 - mass) * (factor * (1 + 0.134145 * x.squared()))
    }
  }

  /// By one kernel (gelu.h); nil where the backend has none.
  private func fusedGradient(_ x: Tensor, _ gradient: Tensor) -> Tensor? {
    let backend = x.backend
    guard let kernel = backend.kernel(ANGEL_FAMILY_gelu_backward, KernelDTypes(x.dtype)) else { return nil }
    let result = Tensor(uninitialized: x.specification, on: backend)
    let arguments = angel_gelu_backward_arguments(
      input: UnsafeRawPointer(x.address), gradient: UnsafeRawPointer(gradient.address), input_gradient: result.address,
      count: Int64(x.shape.elementCount), form: form.kernelForm)
    let work = Work(bytes: 3 * x.specification.byteCount, multiplyAdds: 96 * x.shape.elementCount)
    backend.launch(kernel, arguments, work, keeping: x, gradient)
    return result
  }
}
