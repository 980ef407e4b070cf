import AngelCore
import CAngelKernels

extension OptimizerState {
  /// Moves this average toward `values` by the share 1 - `decay` (ema.h).
  public func follow(_ values: TrainedValues, decay: Float) {
    follow(address: values.tensor, low: values.lowHalves, decay)
    withExtendedLifetime(values) {}
  }

  /// Moves this average toward a float32 tensor of its size by the share 1 - `decay`.
  func follow(_ values: Tensor, decay: Float) { follow(address: values, low: nil, decay) }

  private func follow(address values: Tensor, low: UnsafeMutablePointer<Int16>?, _ decay: Float) {
    precondition(
      values.shape.elementCount == tensor.shape.elementCount, "ema: \(values.specification) for \(tensor.specification)"
    )
    let arguments = angel_ema_arguments(
      parameter: values.address, low: low, average: tensor.mutableFloats, count: Int64(tensor.shape.elementCount),
      decay: decay)
    values.backend.launch(
      ANGEL_FAMILY_ema, KernelDTypes(values.dtype), arguments, Work(bytes: 3 * tensor.specification.byteCount),
      keeping: values, self)
  }
}
