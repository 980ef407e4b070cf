import AngelCore
import CAngelKernels

/// The numbers of one step of Lion (lion.h).
public struct LionStep: Sendable {
  /// Multiplies every gradient first.
  public var gradientScale: Float = 1
  public var learningRate: Float
  public var weightDecay: Float
  public var beta1: Float
  public var beta2: Float

  public init(learningRate: Float, weightDecay: Float, beta1: Float, beta2: Float) {
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    self.beta1 = beta1
    self.beta2 = beta2
  }

  /// Changes `values` and `momentum` in place.
  public func apply(to values: TrainedValues, gradient: Tensor, momentum: OptimizerState) {
    let arguments = angel_lion_arguments(
      parameter: values.tensor.address, low: values.lowHalves, gradient: gradient.floats,
      momentum: momentum.tensor.mutableFloats, count: Int64(values.tensor.shape.elementCount),
      gradient_scale: gradientScale, learning_rate: learningRate, weight_decay: weightDecay, beta1: beta1, beta2: beta2)
    values.tensor.backend.launch(
      ANGEL_FAMILY_lion, KernelDTypes(values.tensor.dtype), arguments,
      Work(bytes: 5 * gradient.specification.byteCount),
      keeping: values, gradient, momentum)
  }
}
