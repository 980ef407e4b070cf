public import AngelCore
import CAngelKernels

/// A moment that an optimizer keeps in 8 bits a value, with a float32 scale for every 256 of them (adamw8.h).
public final class BlockState: Sendable {
  /// The codes, uint8 of the parameter's shape.
  public let codes: OptimizerState
  /// [blocks]
  public let scales: OptimizerState

  public init(_ shape: Shape, on backend: any Backend) {
    codes = OptimizerState(shape, .uint8, on: backend)
    scales = OptimizerState([Self.blockCount(of: shape.elementCount)], on: backend)
  }

  /// Bytes of one moment of `count` values.
  public static func byteCount(of count: Int) -> Int { count + 4 * blockCount(of: count) }

  private static func blockCount(of count: Int) -> Int {
    (count + Int(ANGEL_ADAMW8_BLOCK) - 1) / Int(ANGEL_ADAMW8_BLOCK)
  }
}

extension AdamWStep {
  /// Changes `values` and both moments in place; moments are rounded by a hash of `seed`.
  public func apply(
    to values: TrainedValues, gradient: Tensor, first: BlockState, second: BlockState, seed: UInt32
  ) {
    let corrections = self.corrections
    let arguments = angel_adamw8_arguments(
      parameter: values.tensor.address, low: values.lowHalves, gradient: gradient.floats,
      first: first.codes.tensor.address.assumingMemoryBound(to: UInt8.self),
      second: second.codes.tensor.address.assumingMemoryBound(to: UInt8.self),
      first_scale: first.scales.tensor.mutableFloats, second_scale: second.scales.tensor.mutableFloats,
      count: Int64(values.tensor.shape.elementCount), seed: seed, gradient_scale: gradientScale,
      learning_rate: learningRate, weight_decay: weightDecay, beta1: beta1, beta2: beta2, epsilon: epsilon,
      correction1: corrections.first, correction2: corrections.second)
    // Codes take about as long as the bytes of float32 that they stand for.
    values.tensor.backend.launch(
      ANGEL_FAMILY_adamw8, KernelDTypes(values.tensor.dtype), arguments,
      Work(bytes: 7 * gradient.specification.byteCount),
      keeping: values, gradient, first, second)
  }
}
