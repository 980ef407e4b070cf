public import AngelCore
package import AngelMemory

/// A value of numbers on a device: a shape, a dtype and shared, immutable storage. Always contiguous.
///
/// Operations run eagerly. Misuse of shapes or dtypes is a programmer's error and traps with the operation, shapes and
/// dtypes; failures of the device are thrown where values are read.
public struct Tensor: Sendable {
  /// Axis sizes, outermost first.
  public let shape: Shape
  /// Element type.
  public let dtype: DType
  package private(set) var storage: Storage
  package let byteOffset: Int
  /// The place in the graph of gradients; nil for a constant.
  package let gradientNode: GradientNode?

  package init(
    shape: Shape, dtype: DType, storage: Storage, byteOffset: Int = 0, gradientNode: GradientNode? = nil
  ) {
    self.shape = shape
    self.dtype = dtype
    self.storage = storage
    self.byteOffset = byteOffset
    self.gradientNode = gradientNode
  }

  /// A tensor whose bytes the next launch fills.
  package init(
    uninitialized specification: TensorSpecification, on backend: any Backend, kind: MemoryKind = .activations
  ) {
    self.init(
      shape: specification.shape, dtype: specification.dtype,
      storage: Storage(byteCount: specification.byteCount, kind: kind, on: backend))
  }

  /// The device this tensor lives on.
  public var device: Device { storage.backend.device }

  /// The backend that runs this tensor's operations.
  public var backend: any Backend { storage.backend }

  /// Whether no other tensor views this one's memory.
  package var isStorageUnique: Bool { mutating get { isKnownUniquelyReferenced(&storage) } }

  /// Shape and dtype without the values.
  public var specification: TensorSpecification { TensorSpecification(shape, dtype) }

  /// The address of the first element, for argument structs.
  package var address: UnsafeMutableRawPointer { storage.allocation.address + byteOffset }
  /// Whether there is memory at the address: not on a backend without arithmetic, and not after a failed allocation.
  package var hasMemory: Bool { storage.allocation.hasMemory }

  /// The same elements under another shape of equal element count; one size may be -1 and is then derived.
  public func reshaped(_ sizes: Int...) -> Tensor { reshaped(sizes) }

  /// The same elements under another shape of equal element count; one size may be -1 and is then derived.
  public func reshaped(_ sizes: [Int]) -> Tensor {
    var sizes = sizes
    if let free = sizes.firstIndex(of: -1) {
      sizes[free] = 1
      let known = sizes.reduce(1, *)
      precondition(known > 0 && shape.elementCount % known == 0, "reshaped: \(shape) does not fit \(sizes)")
      sizes[free] = shape.elementCount / known
    }
    let reshaped = Shape(sizes)
    precondition(reshaped.elementCount == shape.elementCount, "reshaped: \(shape) has not the elements of \(reshaped)")
    return Tensor(shape: reshaped, dtype: dtype, storage: storage, byteOffset: byteOffset)
      .recorded(from: [self]) { _ in
        let original = shape.array
        return { [$0.reshaped(original)] }
      }
  }

  /// Entries `range` of the outermost axis, sharing storage.
  public func prefix(_ range: Range<Int>) -> Tensor {
    precondition(shape.rank > 0, "prefix: a scalar has no axis")
    precondition(range.lowerBound >= 0 && range.upperBound <= shape[0], "prefix: \(range) of \(shape[0]) entries")
    var sizes = shape
    sizes[0] = range.count
    let entryBytes = shape[0] == 0 ? 0 : specification.byteCount / shape[0]
    let count = shape[0]
    return Tensor(
      shape: sizes, dtype: dtype, storage: storage, byteOffset: byteOffset + range.lowerBound * entryBytes
    ).recorded(from: [self]) { _ in { [$0.embedded(in: count, at: range.lowerBound)] } }
  }
}

/// Shape and dtype of a tensor: what shape rules work on.
public struct TensorSpecification: Hashable, Sendable, CustomStringConvertible {
  public var shape: Shape
  public var dtype: DType

  public init(_ shape: Shape, _ dtype: DType) {
    self.shape = shape
    self.dtype = dtype
  }

  /// Bytes of the elements; int8 and bfloat16 rows are padded to 64 bytes each (`quantize_rows.h`).
  public var byteCount: Int {
    guard dtype == .int8Rows || dtype == .bfloat16Rows else { return dtype.byteCount(of: shape.elementCount) }
    let depth = shape[-1]
    return depth == 0 ? 0 : shape.elementCount / depth * QuantizeRows.rowBytes(dtype, depth: depth)
  }

  public var description: String { "\(dtype.name)\(shape)" }
}
