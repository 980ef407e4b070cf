public import AngelCore

/// A parameter that has been made anew for a file: rows as files hold them, in the order the model has them. A matrix rounded by
/// other means than its format's own rule, or a vector of float32.
public struct EncodedParameter: Sendable {
  public let dtype: DType
  /// [outputs, inputs], or [outputs] of a vector
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
