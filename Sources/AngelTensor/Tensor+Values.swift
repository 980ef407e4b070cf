public import AngelCore
public import AngelMemory

/// A Swift type that is the host form of a dtype.
public protocol TensorElement: BitwiseCopyable, Sendable {
  /// The dtype with this layout.
  static var dtype: DType { get }
}

extension Double: TensorElement { public static let dtype = DType.float64 }
extension Float: TensorElement { public static let dtype = DType.float32 }
extension Int64: TensorElement { public static let dtype = DType.int64 }
extension Int32: TensorElement { public static let dtype = DType.int32 }
extension UInt8: TensorElement { public static let dtype = DType.uint8 }

extension Tensor {
  /// A tensor with the given values in row-major order.
  public init<Element: TensorElement>(
    _ values: [Element], shape: Shape? = nil, on backend: any Backend, kind: MemoryKind = .activations
  ) {
    let shape = shape ?? [values.count]
    precondition(values.count == shape.elementCount, "Tensor: \(values.count) values for shape \(shape)")
    self = values.withUnsafeBytes {
      Tensor(bytes: $0, shape: shape, dtype: Element.dtype, on: backend, kind: kind)
    }
  }

  /// A tensor with the given bytes in the dtype's own layout.
  package init(
    bytes: UnsafeRawBufferPointer, shape: Shape, dtype: DType, on backend: any Backend,
    kind: MemoryKind = .activations
  ) {
    let specification = TensorSpecification(shape, dtype)
    precondition(bytes.count == specification.byteCount, "Tensor: \(bytes.count) bytes for \(specification)")
    self.init(uninitialized: specification, on: backend, kind: kind)
    backend.write(bytes, to: storage.allocation, at: 0)
  }

  /// The values in row-major order, once every launch before has run.
  ///
  /// - Throws: the first failure recorded on the backend.
  public func read<Element: TensorElement>(as type: Element.Type = Element.self) throws(BackendError) -> [Element] {
    precondition(dtype == Element.dtype, "read: the tensor is \(dtype.name), not \(Element.dtype.name)")
    let count = shape.elementCount
    var failure: BackendError?
    let values = [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      let bytes = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count * MemoryLayout<Element>.stride)
      do throws(BackendError) {
        try storage.backend.read(storage.allocation, at: byteOffset, into: bytes)
        initialized = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return values
  }

  /// Calls `body` with the bytes of these values on the host, once every launch before has run.
  public func withHostBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    try backend.synchronize()
    if device == .cpu {
      return try withExtendedLifetime(self) {
        try body(UnsafeRawBufferPointer(start: address, count: specification.byteCount))
      }
    }
    var bytes = [UInt8](repeating: 0, count: specification.byteCount)
    try bytes.withUnsafeMutableBytes { try backend.read(storage.allocation, at: byteOffset, into: $0) }
    return try bytes.withUnsafeBytes(body)
  }
}
