import AngelCore
public import AngelTensor

/// Holds the gradients of a function of tensors to finite differences, and those of its kernels to float64.
///
/// The function may return a tensor of any shape; what is differentiated is the sum of its elements with fixed weights.
public struct GradientCheck {
  public let inputs: [Tensor]
  let function: ([Tensor]) -> Tensor

  /// - Parameters:
  ///   - inputs: float64 tensors, the points the gradients are taken at and by.
  ///   - function: works in the dtype of what it is given, float64 or float32.
  public init(_ inputs: [Tensor], _ function: @escaping ([Tensor]) -> Tensor) {
    precondition(inputs.allSatisfy { $0.dtype == .float64 }, "a gradient check starts from float64 inputs")
    self.inputs = inputs
    self.function = function
  }

  /// The worst error among the inputs' gradients against central differences, in float64: the norm of the difference over
  /// the norm of the reference.
  public func errorAgainstDifferences(step: Double = 1e-5) throws -> Double {
    let gradients = try gradients(in: .float64)
    let points = try inputs.map { try $0.read(as: Double.self) }
    var worst = 0.0
    for (index, point) in points.enumerated() {
      let differences = try point.indices.map { element in
        let above = try value(moving: element, of: index, by: step)
        let below = try value(moving: element, of: index, by: -step)
        return (above - below) / (2 * step)
      }
      worst = max(worst, normalizedError(gradients[index], differences))
    }
    return worst
  }

  /// The worst error among the inputs' gradients in float32, by kernels, against float64, by composed forms.
  public func errorInFloat32() throws -> Double {
    // The same point in both: float64 inputs are rounded first.
    let rounded = GradientCheck(inputs.map { $0.cast(to: .float32).cast(to: .float64) }, function)
    return try zip(gradients(in: .float32), rounded.gradients(in: .float64)).reduce(0) {
      max($0, normalizedError($1.0, $1.1))
    }
  }

  private func gradients(in dtype: DType) throws -> [[Double]] {
    let leaves = inputs.map { $0.cast(to: dtype).asLeaf() }
    let gradients = try weighted(function(leaves)).backward()
    return try leaves.map { leaf in
      guard let gradient = gradients[leaf] else { return [Double](repeating: 0, count: leaf.shape.elementCount) }
      return try gradient.cast(to: .float64).read()
    }
  }

  private func value(moving element: Int, of index: Int, by step: Double) throws -> Double {
    var moved = inputs
    var values = try inputs[index].read(as: Double.self)
    values[element] += step
    moved[index] = Tensor(values, shape: inputs[index].shape, on: inputs[index].backend)
    return try weighted(function(moved)).read(as: Double.self)[0]
  }

  private func weighted(_ result: Tensor) -> Tensor {
    let weights = (0..<result.shape.elementCount).map { Double(($0 * 37 + 11) % 17) / 8.5 - 0.9 }
    return (result * Tensor(weights, shape: result.shape, on: result.backend).cast(to: result.dtype)).sum()
  }
}

/// The norm of the difference over the norm of the reference; infinite when the counts differ.
public func normalizedError(_ got: [Double], _ want: [Double]) -> Double {
  guard got.count == want.count else { return .infinity }
  var (difference, norm) = (0.0, 0.0)
  for (a, b) in zip(got, want) {
    difference += (a - b) * (a - b)
    norm += b * b
  }
  return (difference / max(norm, 1e-300)).squareRoot()
}
