import AngelCore
import AngelMemory
import CAngelKernels

/// The float32 values that an optimizer changes: whole, or in two halves of which products read the upper (adamw.h).
///
/// Halves take the room of the float32 values, so computing in bfloat16 costs no second copy.
public struct TrainedValues: Sendable {
  /// What products read: the float32 values, or those rounded to bfloat16.
  public let tensor: Tensor
  /// What rounding took off, as int16 pairs of bytes [count, 2]; nil beside float32.
  private let low: Tensor?

  /// Values in float32, kept as they are.
  public init(_ values: Tensor) {
    precondition(values.dtype == .float32, "trained values: \(values.specification)")
    tensor = values.detached
    low = nil
  }

  /// Values in float32, taken apart.
  public init(halving values: Tensor) {
    precondition(values.dtype == .float32, "trained values: \(values.specification)")
    let shape = values.shape
    tensor = Tensor(uninitialized: TensorSpecification(shape, .bfloat16), on: values.backend, kind: .weights)
    low = Tensor(
      uninitialized: TensorSpecification([shape.elementCount, 2], .uint8), on: values.backend, kind: .weights)
    move(values, KernelDTypes(.float32, .bfloat16))
  }

  /// The values in float32: these themselves, or put together for the caller.
  public var values: Tensor {
    guard low != nil else { return tensor }
    let values = Tensor(
      uninitialized: TensorSpecification(tensor.shape, .float32), on: tensor.backend, kind: .workspace)
    move(values, KernelDTypes(.bfloat16, .float32))
    return values
  }

  /// Replaces all values in place with float32 bytes, as a checkpoint holds them.
  public func overwrite(with bytes: UnsafeRawBufferPointer) {
    guard low != nil else { return tensor.overwrite(with: bytes) }
    let values = Tensor(
      bytes: bytes, shape: tensor.shape, dtype: .float32, on: tensor.backend, kind: .workspace)
    move(values, KernelDTypes(.float32, .bfloat16))
  }

  /// The values `range` of the outermost axis, in the same memory.
  package func entries(_ range: Range<Int>) -> TrainedValues {
    let width = tensor.shape.elementCount / max(1, tensor.shape[0])
    return TrainedValues(
      tensor.prefix(range), low: low?.prefix((range.lowerBound * width)..<(range.upperBound * width)))
  }

  /// A copy in memory of its own.
  package func copied() -> TrainedValues {
    TrainedValues(tensor.copied(to: .weights), low: low?.copied(to: .weights))
  }

  /// The memory that holds the values: one tensor, or two with two bytes a value each.
  package var planes: [Tensor] { [tensor] + (low.map { [$0] } ?? []) }

  /// Values held in these planes.
  package init(planes: [Tensor]) { self.init(planes[0], low: planes.count > 1 ? planes[1] : nil) }

  private init(_ tensor: Tensor, low: Tensor?) {
    self.tensor = tensor.detached
    self.low = low
  }

  var lowHalves: UnsafeMutablePointer<Int16>? { low?.address.assumingMemoryBound(to: Int16.self) }

  /// Splits `values` into the halves, or joins the halves there.
  private func move(_ values: Tensor, _ dtypes: KernelDTypes) {
    let arguments = angel_master_arguments(
      values: values.mutableFloats, high: tensor.address.assumingMemoryBound(to: UInt16.self), low: lowHalves,
      count: Int64(tensor.shape.elementCount))
    let work = Work(bytes: 2 * values.specification.byteCount)
    tensor.backend.launch(ANGEL_FAMILY_master, dtypes, arguments, work, keeping: values, self)
  }
}
