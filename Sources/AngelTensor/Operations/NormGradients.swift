import AngelCore
import CAngelKernels

/// The gradients of a norm over the last axis by two kernels, one over rows and one over columns (norm_backward.h).
struct NormGradients {
  let input: Tensor?
  let weight: Tensor?
  /// Made only for norms that centre.
  let bias: Tensor?

  /// - Parameters: the norm's backward family; its input and the gradient of its result [..., width]; its weight [width].
  /// - Returns: nil where the backend has no kernels for it.
  init?(
    _ family: angel_family, _ x: Tensor, weight: Tensor, _ gradient: Tensor, epsilon: Float, centres: Bool,
    wantsInput: Bool, wantsParameters: Bool
  ) {
    let (backend, specification, width) = (x.backend, x.specification, x.shape[-1])
    let dtypes = KernelDTypes(x.dtype, gradient.dtype)
    guard let rowKernel = backend.kernel(family, dtypes),
      let columnKernel = backend.kernel(ANGEL_FAMILY_norm_weight_backward, dtypes)
    else { return nil }
    let rows = x.shape.elementCount / width
    func uninitialized(_ shape: Shape) -> Tensor { Tensor(uninitialized: .init(shape, .float32), on: backend) }
    let (scales, rowCentres) = (uninitialized([rows]), centres ? uninitialized([rows]) : nil)
    input = wantsInput ? Tensor(uninitialized: x.specification, on: backend) : nil
    let rowArguments = angel_norm_backward_arguments(
      input: UnsafeRawPointer(x.address), gradient: UnsafeRawPointer(gradient.address), weight: weight.floats,
      input_gradient: input?.address,
      scales: scales.mutableFloats, centres: rowCentres?.mutableFloats, rows: Int64(rows), width: Int64(width),
      epsilon: epsilon)
    backend.launch(
      rowKernel, rowArguments, Work(bytes: 3 * specification.byteCount), keeping: x, weight, gradient, scales,
      rowCentres)
    self.weight = wantsParameters ? uninitialized([width]) : nil
    bias = wantsParameters && centres ? uninitialized([width]) : nil
    guard let weightGradient = self.weight else { return }
    let columnArguments = angel_norm_weight_backward_arguments(
      input: UnsafeRawPointer(x.address), gradient: UnsafeRawPointer(gradient.address), scales: scales.floats,
      centres: rowCentres?.floats,
      weight_gradient: weightGradient.mutableFloats, bias_gradient: bias?.mutableFloats, rows: Int64(rows),
      width: Int64(width))
    backend.launch(
      columnKernel, columnArguments, Work(bytes: 2 * specification.byteCount), keeping: x, gradient, scales, rowCentres)
  }
}

extension RMSNormalization {
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (x, weight) = (inputs[0], inputs[1])
    return { gradient in
      let fused = NormGradients(
        ANGEL_FAMILY_rmsnorm_backward, x, weight: weight, gradient, epsilon: epsilon, centres: false,
        wantsInput: wanted[0], wantsParameters: wanted[1])
      return fused.map { [$0.input, $0.weight] } ?? composedGradients(x, weight, gradient, wanted)
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
}

extension LayerNormalization {
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (x, weight) = (inputs[0], inputs[1])
    return { gradient in
      let fused = NormGradients(
        ANGEL_FAMILY_layernorm_backward, x, weight: weight, gradient, epsilon: epsilon, centres: true,
        wantsInput: wanted[0], wantsParameters: wanted[1] || wanted[2])
      let results =
        fused.map { [$0.input, $0.weight, $0.bias] } ?? composedGradients(x, weight, gradient)
      return zip(wanted, results).map { $0 ? $1 : nil }
    }
  }

  /// With n the normalised x, s its scale and h = dy * weight: dx = s (h - mean(h) - n mean(h n)), dweight = sum(dy n),
  /// dbias = sum(dy).
  private func composedGradients(_ x: Tensor, _ weight: Tensor, _ gradient: Tensor) -> [Tensor?] {
    let centred = x - x.mean(over: -1)
    let scale = 1 / sqrt(centred.squared().mean(over: -1) + Double(epsilon))
    let normalized = centred * scale
    let scaled = gradient * weight
    return [
      (scaled - scaled.mean(over: -1) - normalized * (scaled * normalized).mean(over: -1)) * scale,
      (gradient * normalized).summed(to: weight.shape), gradient.summed(to: weight.shape),
    ]
  }
}
