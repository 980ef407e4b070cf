public import AngelCore

/// A matrix that has been rounded to blocks by other means than the formats' own rule: rows as files hold them, in the order the
/// model has them.
public struct EncodedMatrix: Sendable {
  public let dtype: DType
  /// [outputs, inputs]
  public let shape: Shape
  public let bytes: [UInt8]

  public init(dtype: DType, shape: Shape, bytes: [UInt8]) {
    precondition(
      bytes.count == dtype.byteCount(of: shape.elementCount), "\(bytes.count) bytes for \(shape) of \(dtype.name)")
    self.dtype = dtype
    self.shape = shape
    self.bytes = bytes
  }
}
