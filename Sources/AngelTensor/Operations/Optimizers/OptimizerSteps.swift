public import AngelCore
import AngelMemory
import CAngelKernels

/// State that an optimizer keeps beside a parameter and changes in place: zero at first.
public final class OptimizerState: Sendable {
  /// The values, at the same address for as long as this object lives.
  public let tensor: Tensor

  public init(_ shape: Shape, _ dtype: DType = .float32, on backend: any Backend) {
    let specification = TensorSpecification(shape, dtype)
    tensor = Tensor(uninitialized: specification, on: backend, kind: .optimizerStates)
    // Pages may have held something before.
    let zeros = [UInt8](repeating: 0, count: Swift.min(specification.byteCount, 1 << 20))
    for offset in stride(from: 0, to: specification.byteCount, by: 1 << 20) {
      let count = Swift.min(zeros.count, specification.byteCount - offset)
      zeros.withUnsafeBytes {
        backend.write(UnsafeRawBufferPointer(rebasing: $0[..<count]), to: tensor.storage.allocation, at: offset)
      }
    }
  }

  /// Replaces all values with bytes of the state's dtype, as a checkpoint holds them.
  public func restore(_ bytes: UnsafeRawBufferPointer) { tensor.overwrite(with: bytes) }
}

/// The numbers of one AdamW step (adamw.h).
public struct AdamWStep: Sendable {
  /// Multiplies every gradient first: 1, or what clipping leaves.
  public var gradientScale: Float = 1
  public var learningRate: Float
  public var weightDecay: Float
  public var beta1: Float
  public var beta2: Float
  public var epsilon: Float
  /// Steps taken, this one included.
  public var count: Int

  public init(learningRate: Float, weightDecay: Float, beta1: Float, beta2: Float, epsilon: Float, count: Int) {
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.count = count
  }

  /// Changes `values` and both moments in place.
  public func apply(to values: TrainedValues, gradient: Tensor, first: OptimizerState, second: OptimizerState) {
    let corrections = self.corrections
    let arguments = angel_adamw_arguments(
      parameter: values.tensor.address, low: values.lowHalves, gradient: gradient.floats,
      first: first.tensor.mutableFloats, second: second.tensor.mutableFloats,
      count: Int64(values.tensor.shape.elementCount), gradient_scale: gradientScale,
      learning_rate: learningRate, weight_decay: weightDecay, beta1: beta1, beta2: beta2, epsilon: epsilon,
      correction1: corrections.first, correction2: corrections.second)
    values.tensor.backend.launch(
      ANGEL_FAMILY_adamw, KernelDTypes(values.tensor.dtype), arguments,
      Work(bytes: 7 * gradient.specification.byteCount),
      keeping: values, gradient, first, second)
  }

  /// What moments that began at zero are divided by: 1 - beta^count.
  var corrections: (first: Float, second: Float) {
    (Float(1 - Self.power(Double(beta1), count)), Float(1 - Self.power(Double(beta2), count)))
  }

  /// By squaring: the same bits on every machine, which `pow` does not promise, in few steps also late in a long run.
  private static func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, left) = (1.0, base, exponent)
    while left > 0 {
      if left & 1 == 1 { result *= square }
      square *= square
      left >>= 1
    }
    return result
  }
}

/// The numbers of one step of gradient descent (sgd.h).
public struct SGDStep: Sendable {
  /// Multiplies every gradient first.
  public var gradientScale: Float = 1
  public var learningRate: Float
  public var weightDecay: Float
  public var momentum: Float

  public init(learningRate: Float, weightDecay: Float, momentum: Float) {
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    self.momentum = momentum
  }

  /// Changes `values` and, with momentum, `velocity` in place.
  public func apply(to values: TrainedValues, gradient: Tensor, velocity: OptimizerState?) {
    let arguments = angel_sgd_arguments(
      parameter: values.tensor.address, low: values.lowHalves, gradient: gradient.floats,
      velocity: velocity?.tensor.mutableFloats, count: Int64(values.tensor.shape.elementCount),
      gradient_scale: gradientScale, learning_rate: learningRate,
      weight_decay: weightDecay, momentum: momentum)
    values.tensor.backend.launch(
      ANGEL_FAMILY_sgd, KernelDTypes(values.tensor.dtype), arguments, Work(bytes: 5 * gradient.specification.byteCount),
      keeping: values, gradient, velocity)
  }
}

extension Tensor {
  /// Sums of squares of blocks of these float32 values, [blocks] float64; their sum in ascending order is the square of
  /// the norm, whatever the number of threads (square_sum.h).
  public func squareSums() -> Tensor {
    precondition(dtype == .float32, "square_sum: \(specification)")
    let count = shape.elementCount
    let blocks = (count + Int(ANGEL_SQUARE_BLOCK) - 1) / Int(ANGEL_SQUARE_BLOCK)
    let output = Tensor(uninitialized: TensorSpecification([blocks], .float64), on: backend, kind: .workspace)
    let arguments = angel_square_sum_arguments(
      input: floats, output: output.address.assumingMemoryBound(to: Double.self), count: Int64(count))
    backend.launch(
      ANGEL_FAMILY_square_sum, KernelDTypes(dtype), arguments, Work(bytes: specification.byteCount), keeping: self)
    return output
  }

  /// The root of the sum of the squares of these float32 values.
  func norm() throws(BackendError) -> Double {
    try squareSums().read(as: Double.self).reduce(0, +).squareRoot()
  }

  /// Replaces all values in place: for optimizers and checkpoints, which alone may.
  public func overwrite(with bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count == specification.byteCount, "overwrite: \(bytes.count) bytes for \(specification)")
    backend.write(bytes, to: storage.allocation, at: byteOffset)
  }
}
