import AngelTensor

/// The norm of all gradients together, in float64 by a fixed order: the same for any number of threads.
enum GradientNorm {
  /// The square root of the sum of all squares. Throws what the backend recorded.
  static func of(_ gradients: [Tensor]) throws -> Double {
    // All launches first, so that they run back to back.
    let sums = gradients.map { $0.squareSums() }
    var total = 0.0
    for sum in sums { for value in try sum.read(as: Double.self) { total += value } }
    return total.squareRoot()
  }
}
