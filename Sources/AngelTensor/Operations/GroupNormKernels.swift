import AngelCore
import CAngelKernels

/// The kernels of one group norm (group_norm.h), and what lies between them.
struct GroupNormKernels: Sendable {
  private let operation: GroupNormalization
  private let backend: any Backend
  private let batch: Int, places: Int, channels: Int

  /// Nil where the backend lacks the kernels.
  init?(_ operation: GroupNormalization, on x: Tensor) {
    guard x.backend.kernel(ANGEL_FAMILY_group_norm, KernelDTypes(.float32)) != nil else { return nil }
    self.operation = operation
    backend = x.backend
    (batch, channels) = (x.shape[0], x.shape[-1])
    places = x.shape.elementCount / max(1, batch * channels)
  }

  var hasGradients: Bool { backend.kernel(ANGEL_FAMILY_group_norm_backward, KernelDTypes(.float32)) != nil }

  /// The mean and 1 / sqrt(variance + epsilon) of each channel's group, [N, C].
  func moments(_ x: Tensor) -> (centres: Tensor, scales: Tensor) {
    let (centres, squares) = (perChannel(), perChannel())
    let arguments = angel_channel_moments_arguments(
      input: x.floats, centres: centres.mutableFloats, squares: squares.mutableFloats, batch: Int64(batch),
      places: Int64(places), channels: Int64(channels))
    backend.launch(
      ANGEL_FAMILY_channel_moments, KernelDTypes(.float32), arguments, Work(bytes: 2 * x.specification.byteCount),
      keeping: x)
    let means = grouped(centres.detached)
    let mean = means.mean(over: 2)
    // What channels spread around their own means, and their means around the group's.
    let spread = grouped(squares).sum(over: 2) + (means - mean).squared().sum(over: 2) * Double(places)
    let variance = spread / Double(places * channels / operation.groups)
    return (spreadOut(mean), spreadOut(1 / sqrt(variance + Double(operation.epsilon))))
  }

  func normalized(_ x: Tensor, _ centres: Tensor, _ scales: Tensor, _ weight: Tensor, _ bias: Tensor) -> Tensor {
    let output = Tensor(uninitialized: x.specification, on: backend)
    let arguments = angel_group_norm_arguments(
      input: x.floats, centres: centres.floats, scales: scales.floats, weight: weight.floats, bias: bias.floats,
      output: output.mutableFloats, batch: Int64(batch), places: Int64(places), channels: Int64(channels),
      has_silu: operation.hasSiLU ? 1 : 0)
    backend.launch(
      ANGEL_FAMILY_group_norm, KernelDTypes(.float32), arguments, work(2, x), keeping: x, centres, scales, weight, bias)
    return output
  }

  /// With h = dy · weight and m the normalised input: dx = scale (h - mean(h) - m mean(h m)), means over groups.
  func gradients(
    _ gradient: Tensor, _ x: Tensor, _ centres: Tensor, _ scales: Tensor, _ weight: Tensor, _ bias: Tensor
  ) -> (input: Tensor, weight: Tensor, bias: Tensor) {
    let (sums, products) = (perChannel(), perChannel())
    let input = Tensor(uninitialized: x.specification, on: backend)
    var arguments = angel_group_norm_backward_arguments(
      input: x.floats, gradient: gradient.floats, centres: centres.floats, scales: scales.floats,
      weight: weight.floats, bias: bias.floats, centre_pulls: nil, scale_pulls: nil,
      input_gradient: input.mutableFloats, gradient_sums: sums.mutableFloats, product_sums: products.mutableFloats,
      batch: Int64(batch), places: Int64(places), channels: Int64(channels), has_silu: operation.hasSiLU ? 1 : 0)
    backend.launch(ANGEL_FAMILY_group_norm_sums_backward, KernelDTypes(.float32), arguments, work(2, x))
    let count = Double(places * channels / operation.groups)
    let pulls = [sums, products].map { spreadOut(grouped($0 * weight).sum(over: 2) / count) }
    arguments.centre_pulls = pulls[0].floats
    arguments.scale_pulls = pulls[1].floats
    backend.launch(
      ANGEL_FAMILY_group_norm_backward, KernelDTypes(.float32), arguments, work(3, x), keeping: gradient, x, centres,
      scales, weight, bias, pulls)
    return (input, products.sum(over: 0).reshaped(-1), sums.sum(over: 0).reshaped(-1))
  }

  private func perChannel() -> Tensor {
    Tensor(uninitialized: TensorSpecification([batch, channels], .float32), on: backend)
  }

  private func grouped(_ values: Tensor) -> Tensor {
    values.reshaped(batch, operation.groups, channels / operation.groups)
  }

  /// A number of each group [N, G, 1] as one of each channel: [N, C].
  private func spreadOut(_ values: Tensor) -> Tensor {
    values.broadcast(to: [batch, operation.groups, channels / operation.groups]).reshaped(batch, channels)
  }

  private func work(_ passes: Int, _ x: Tensor) -> Work {
    Work(
      bytes: passes * x.specification.byteCount,
      multiplyAdds: (operation.hasSiLU ? 64 : 0) * x.shape.elementCount)
  }
}
