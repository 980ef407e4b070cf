import AngelCore
public import AngelTensor

/// A product of two square matrices, by which a step's arithmetic is judged: what this machine gives at best, at the
/// run's precision.
public struct ProductProbe {
  private let left: Tensor
  private let size: Int

  public init(_ precision: TrainingRecipe.Precision, size: Int = 1536, on backend: any Backend) {
    self.size = size
    let values = (0..<size * size).map { Float($0 % 97) * 0.01 - 0.48 }
    let dtype: DType = precision == .bf16 ? .bfloat16 : .float32
    left = Tensor(values, shape: [size, size], on: backend, kind: .workspace).cast(to: dtype)
  }

  /// 10^9 operations a second, the better of two products.
  public func measure() throws -> Double {
    let clock = ContinuousClock()
    var best = 0.0
    for _ in 0..<2 {
      let begin = clock.now
      let product = left.matmul(left, bias: nil)
      try product.backend.synchronize()
      best = max(best, 2 * Double(size * size * size) / 1e9 / ((clock.now - begin) / .seconds(1)))
    }
    return best
  }
}
