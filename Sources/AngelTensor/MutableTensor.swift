public import AngelCore
import AngelMemory

/// A tensor whose values its owner replaces between steps: the inputs of a recorded step.
///
/// The one exception, beside cache blocks, to storage that never changes: nobody but the owner's step may hold the tensor.
public final class MutableTensor {
  /// The tensor, at the same address for as long as this object lives.
  public let tensor: Tensor

  public init(_ shape: Shape, _ dtype: DType, on backend: any Backend) {
    tensor = Tensor(uninitialized: TensorSpecification(shape, dtype), on: backend, kind: .workspace)
    let zeros = [UInt8](repeating: 0, count: tensor.specification.byteCount)
    zeros.withUnsafeBytes { backend.write($0, to: tensor.storage.allocation, at: 0) }
  }

  /// Replaces values in row-major order, the first of them at element `start`.
  public func write<Element: TensorElement>(_ values: [Element], at start: Int = 0) {
    precondition(
      Element.dtype == tensor.dtype && start >= 0 && start + values.count <= tensor.shape.elementCount,
      "write: wrong values")
    let offset = start * MemoryLayout<Element>.stride
    values.withUnsafeBytes { tensor.backend.write($0, to: tensor.storage.allocation, at: offset) }
  }
}
