import AngelCore
public import AngelNN
public import AngelTensor
import Glibc

/// First values of a model that is trained from nothing.
///
/// Matrices are normal with a standard deviation of 0.02, those that write to the residual stream divided by the root of twice
/// the number of layers (GPT-2, §2.3); norms are 1 and biases 0. A value is a function of the seed, the parameter's path and
/// its place, so it does not depend on the order of anything.
public enum InitialValues {
  static let deviation = 0.02

  /// Gives every parameter of `model` its first value and makes it trainable.
  public static func fill(_ model: some Module, seed: UInt64, layerCount: Int, on backend: any Backend) {
    for (path, parameter) in model.parameterShapes() {
      parameter.value = .trained(tensor(path, parameter.shape, seed: seed, layerCount: layerCount, on: backend))
    }
  }

  private static func tensor(
    _ path: String, _ shape: Shape, seed: UInt64, layerCount: Int, on backend: any Backend
  ) -> Tensor {
    let count = shape.elementCount
    // A plan needs no values.
    if backend.device == .shapes {
      return Tensor(uninitialized: TensorSpecification(shape, .float32), on: backend, kind: .weights)
    }
    guard shape.rank > 1 else {
      return Tensor(
        [Float](repeating: path.hasSuffix("bias") ? 0 : 1, count: count), shape: shape, on: backend, kind: .weights)
    }
    let isResidual = path.hasSuffix("output.weight") || path.hasSuffix("down.weight")
    let scale = deviation / (isResidual ? (2 * Double(max(1, layerCount))).squareRoot() : 1)
    let generator = PhiloxGenerator(seed: seed, stream: stream(of: path))
    var values = [Float](repeating: 0, count: count)
    // Box and Muller: two normal values of each two uniform ones.
    for pair in 0..<((count + 1) / 2) {
      let words = generator.block(at: UInt64(pair))
      let radius = (-2 * log((Double(words[0]) + 1) * 0x1p-32)).squareRoot() * scale
      let angle = 2 * Double.pi * Double(words[1]) * 0x1p-32
      values[2 * pair] = Float(radius * cos(angle))
      if 2 * pair + 1 < count { values[2 * pair + 1] = Float(radius * sin(angle)) }
    }
    return Tensor(values, shape: shape, on: backend, kind: .weights)
  }

  /// Streams of different parameters are independent.
  private static func stream(of path: String) -> UInt64 { FNV1a.hash(path.utf8) }
}

extension Tensor {
  /// Values between -limit and limit, a function of seed, stream and place.
  static func uniform(
    _ shape: Shape, limit: Float, seed: UInt64, stream: UInt64, on backend: any Backend
  ) -> Tensor {
    let generator = PhiloxGenerator(seed: seed, stream: stream)
    let values = (0..<shape.elementCount).map { (2 * generator.uniform(at: UInt64($0)) - 1) * limit }
    return Tensor(values, shape: shape, on: backend, kind: .weights)
  }
}
