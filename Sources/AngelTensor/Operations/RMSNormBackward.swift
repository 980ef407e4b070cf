import AngelCore
import CAngelKernels

extension RMSNormalization {
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (x, weight) = (inputs[0], inputs[1])
    return { gradient in
      fusedGradients(x, weight, gradient, wanted) ?? composedGradients(x, weight, gradient, wanted)
    }
  }

  /// With s = 1 / sqrt(mean(x²) + epsilon), n = x s and h = dy * weight: dx = s (h - n mean(h n)), dweight = sum(dy n).
  private func composedGradients(_ x: Tensor, _ weight: Tensor, _ gradient: Tensor, _ wanted: [Bool]) -> [Tensor?] {
    let scale = 1 / sqrt(x.squared().mean(over: -1) + Double(epsilon))
    let normalized = x * scale
    let scaled = gradient * weight
    return [
      wanted[0] ? (scaled - normalized * (scaled * normalized).mean(over: -1)) * scale : nil,
      wanted[1] ? (gradient * normalized).summed(to: weight.shape) : nil,
    ]
  }

  /// The same by two kernels, over rows and over columns (norm_backward.h); nil where the backend has none.
  private func fusedGradients(_ x: Tensor, _ weight: Tensor, _ gradient: Tensor, _ wanted: [Bool]) -> [Tensor?]? {
    let (backend, specification) = (x.backend, x.specification)
    guard let kernel = backend.kernel(ANGEL_FAMILY_rmsnorm_backward, KernelDTypes(x.dtype)) else { return nil }
    let width = x.shape[-1]
    let rows = x.shape.elementCount / width
    let inputGradient = wanted[0] ? Tensor(uninitialized: specification, on: backend) : nil
    let scales = Tensor(uninitialized: TensorSpecification([rows], x.dtype), on: backend)
    let arguments = angel_rmsnorm_backward_arguments(
      input: x.floats, gradient: gradient.floats, weight: weight.floats, input_gradient: inputGradient?.mutableFloats,
      scales: scales.mutableFloats, rows: Int64(rows), width: Int64(width), epsilon: epsilon)
    withUnsafeBytes(of: arguments) { backend.launch(kernel, $0, work: Work(bytes: 3 * specification.byteCount)) }
    withExtendedLifetime((x, weight, gradient)) {}
    let weightGradient = wanted[1] ? NormWeightGradients(x, gradient, scales: scales).weight : nil
    return [inputGradient, weightGradient]
  }
}

/// What the rows of a norm add up to for its weight and bias (norm_backward.h).
struct NormWeightGradients {
  let weight: Tensor
  /// Made only for norms with centres.
  let bias: Tensor?

  /// - Parameters: inputs and the gradient of the result [..., width]; what each row was multiplied by, and centred at.
  init(_ x: Tensor, _ gradient: Tensor, scales: Tensor, centres: Tensor? = nil) {
    let (backend, width) = (x.backend, x.shape[-1])
    guard let kernel = backend.kernel(ANGEL_FAMILY_norm_weight_backward, KernelDTypes(x.dtype)) else {
      preconditionFailure("norm_weight_backward: no kernel on \(backend.device) for \(x.specification)")
    }
    let specification = TensorSpecification([width], x.dtype)
    weight = Tensor(uninitialized: specification, on: backend)
    bias = centres.map { _ in Tensor(uninitialized: specification, on: backend) }
    let arguments = angel_norm_weight_backward_arguments(
      input: x.floats, gradient: gradient.floats, scales: scales.floats, centres: centres?.floats,
      weight_gradient: weight.mutableFloats, bias_gradient: bias?.mutableFloats,
      rows: Int64(x.shape.elementCount / width), width: Int64(width))
    withUnsafeBytes(of: arguments) { backend.launch(kernel, $0, work: Work(bytes: 2 * x.specification.byteCount)) }
    withExtendedLifetime((x, gradient, scales, centres)) {}
  }
}
