import AngelCore
package import CAngelKernels

/// Every place of an image as `factor` × `factor` places, times `scale` (resample.h).
package struct Upsampling: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_upsample }
  let factor: Int
  let scale: Double

  package init(factor: Int, scale: Double = 1) { (self.factor, self.scale) = (factor, scale) }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let x = inputs[0]
    precondition(x.shape.rank == 4 && factor > 0, "upsample: \(x) by \(factor)")
    return TensorSpecification([x.shape[0], x.shape[1] * factor, x.shape[2] * factor, x.shape[3]], x.dtype)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_resample_arguments {
    resampling(inputs[0], output, small: inputs[0].shape, factor, scale)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let shape = inputs[0].shape
    let spread = inputs[0].reshaped(shape[0], shape[1], 1, shape[2], 1, shape[3])
      .broadcast(to: [shape[0], shape[1], factor, shape[2], factor, shape[3]])
    return spread.reshaped(shape[0], shape[1] * factor, shape[2] * factor, shape[3]) * scale
  }

  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    { [Downsampling(factor: factor, scale: scale)($0)] }
  }
}

/// The sum of every `factor` × `factor` places of an image, times `scale` (resample.h).
package struct Downsampling: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_downsample }
  let factor: Int
  let scale: Double

  package init(factor: Int, scale: Double) { (self.factor, self.scale) = (factor, scale) }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let x = inputs[0]
    precondition(
      x.shape.rank == 4 && factor > 0 && x.shape[1] % factor == 0 && x.shape[2] % factor == 0,
      "downsample: \(x) by \(factor)")
    return TensorSpecification([x.shape[0], x.shape[1] / factor, x.shape[2] / factor, x.shape[3]], x.dtype)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_resample_arguments {
    resampling(inputs[0], output, small: output.shape, factor, scale)
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let shape = result(of: [inputs[0].specification]).shape
    let blocks = inputs[0].reshaped(shape[0], shape[1], factor, shape[2], factor, shape[3])
    return blocks.sum(over: 4).sum(over: 2).reshaped(shape.array) * scale
  }

  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    { [Upsampling(factor: factor, scale: scale)($0)] }
  }
}

private func resampling(
  _ input: Tensor, _ output: Tensor, small: Shape, _ factor: Int, _ scale: Double
) -> angel_resample_arguments {
  angel_resample_arguments(
    input: UnsafeRawPointer(input.address), output: output.address, batch: Int64(small[0]), height: Int64(small[1]),
    width: Int64(small[2]), channels: Int64(small[3]), factor: Int64(factor), scale: Float(scale))
}

extension Tensor {
  /// These images [N, H, W, C], every place `factor` × `factor` times: nearest neighbours.
  public func upsampled(by factor: Int) -> Tensor { Upsampling(factor: factor)(self) }

  /// These images [N, H, W, C], `factor` × `factor` places averaged; H and W are multiples of it.
  public func averagePooled(by factor: Int) -> Tensor {
    Downsampling(factor: factor, scale: 1 / Double(factor * factor))(self)
  }
}
