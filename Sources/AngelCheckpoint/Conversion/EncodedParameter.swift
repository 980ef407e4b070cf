public import AngelCore

/// A parameter that has been made anew for a file: rows as files hold them, in the order the model has them. A matrix rounded by
/// other means than its format's own rule, or a vector of float32.
public struct EncodedParameter: Sendable {
  public let dtype: DType
  /// [outputs, inputs], or [outputs] of a vector
  public let shape: Shape
  public let bytes: [UInt8]
  /// Whether two of every four consecutive elements of a row are zero at least.
  public let isTwoOfFour: Bool

  public init(dtype: DType, shape: Shape, bytes: [UInt8], isTwoOfFour: Bool = false) {
    precondition(
      bytes.count == dtype.byteCount(of: shape.elementCount), "\(bytes.count) bytes for \(shape) of \(dtype.name)")
    self.dtype = dtype
    self.shape = shape
    self.bytes = bytes
    self.isTwoOfFour = isTwoOfFour
  }
}
