import AngelCore
import CAngelKernels

/// One step of Muon on a matrix (arXiv:2502.16982): momentum whose singular values are all brought near 1.
public struct MuonStep: Sendable {
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

  /// Changes `values` [R, C] and `velocity` in place.
  public func apply(to values: TrainedValues, gradient: Tensor, velocity: OptimizerState) throws(BackendError) {
    let shape = values.tensor.shape
    precondition(shape.rank == 2, "muon: \(values.tensor.specification) is no matrix")
    let direction = Tensor(uninitialized: gradient.specification, on: gradient.backend, kind: .workspace)
    let arguments = angel_muon_arguments(
      gradient: gradient.floats, velocity: velocity.tensor.mutableFloats, direction: direction.mutableFloats,
      count: Int64(shape.elementCount), gradient_scale: gradientScale, momentum: momentum)
    gradient.backend.launch(
      ANGEL_FAMILY_muon, KernelDTypes(gradient.dtype), arguments, Work(bytes: 4 * gradient.specification.byteCount),
      keeping: gradient, velocity)
    // Each value of such a direction is about √(1 / max(R, C)); this brings updates to AdamW's usual 0.2 (§2.2).
    let rate = learningRate * 0.2 * Float(max(shape[0], shape[1])).squareRoot()
    let decay = rate > 0 ? learningRate * weightDecay / rate : 0
    SGDStep(learningRate: rate, weightDecay: decay, momentum: 0)
      .apply(to: values, gradient: try direction.orthogonalized(), velocity: nil)
  }
}

extension Tensor {
  /// This float32 matrix with its singular values brought to 0.7 ... 1.2: five steps of a quintic Newton-Schulz
  /// iteration (kellerjordan.github.io/posts/muon, with its coefficients).
  func orthogonalized() throws(BackendError) -> Tensor {
    let isTall = shape[0] > shape[1]
    let none: Tensor? = nil
    // The spectral norm is at most that of Frobenius.
    var x = (isTall ? permuted(1, 0) : self) * (1 / Swift.max(try norm(), 1e-7))
    for _ in 0..<5 {
      let gram: Tensor = x.matmul(x, bias: none)  // X Xᵀ, symmetric
      let square: Tensor = gram.matmul(gram, bias: none)
      let update = gram * -4.7750 + square * 2.0315
      let step: Tensor = update.matmul(x.permuted(1, 0), bias: none)
      x = x * 3.4445 + step
    }
    return isTall ? x.permuted(1, 0) : x
  }
}
