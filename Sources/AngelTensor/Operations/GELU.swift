import AngelCore
package import CAngelKernels

/// The two ways of computing GELU (arXiv:1606.08415): its definition, and the approximation many models were trained with.
public enum GELUForm: Hashable, Sendable {
  /// x (1 + erf(x / √2)) / 2.
  case erf
  /// x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.
  case tanh

  var kernelForm: angel_gelu_form {
    switch self {
    case .erf: ANGEL_GELU_ERF
    case .tanh: ANGEL_GELU_TANH
    }
  }
}

/// x times the normal distribution's mass below it (arXiv:1606.08415, gelu.h).
package struct GELU: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_gelu }
  package let form: GELUForm

  package init(_ form: GELUForm) { self.form = form }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification { inputs[0] }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_gelu_arguments {
    angel_gelu_arguments(
      input: UnsafeRawPointer(inputs[0].address), output: output.address, count: Int64(output.shape.elementCount),
      form: form.kernelForm)
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(bytes: 2 * output.byteCount, multiplyAdds: 64 * output.shape.elementCount)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let x = inputs[0]
    switch form {
    case .erf: return 0.5 * x * (1 + erf(x * 0.5.squareRoot()))
    case .tanh: return 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x.squared() * x)))
    }
  }
}

/// The gate of a gated feed-forward layer, gelu(gate) * up (arXiv:2002.05202, geglu.h).
package struct GEGLU: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_geglu }
  package let form: GELUForm

  package init(_ form: GELUForm) { self.form = form }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    precondition(inputs[0] == inputs[1], "geglu: gate \(inputs[0]) and up \(inputs[1]) differ")
    return inputs[0]
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_geglu_arguments {
    angel_geglu_arguments(
      gate: UnsafeRawPointer(inputs[0].address), up: UnsafeRawPointer(inputs[1].address), output: output.address,
      count: Int64(output.shape.elementCount), form: form.kernelForm)
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    Work(bytes: 3 * output.byteCount, multiplyAdds: 64 * output.shape.elementCount)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? { gelu(inputs[0], form) * inputs[1] }
}

/// Elementwise x times the normal distribution's mass below x.
public func gelu(_ x: Tensor, _ form: GELUForm) -> Tensor { GELU(form)(x) }

/// gelu(gate) * up, elementwise over equal shapes.
public func geGLU(gate: Tensor, up: Tensor, _ form: GELUForm) -> Tensor { GEGLU(form)(gate, up) }
