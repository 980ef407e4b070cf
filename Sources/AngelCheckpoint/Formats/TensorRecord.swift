public import AngelCore

/// Where one tensor's bytes are and what they mean; reading them is up to the caller.
public struct TensorRecord: Sendable {
  public let name: String
  public let dtype: DType
  /// Sizes outermost first, rows contiguous.
  public let shape: Shape
  /// The mapped file that holds the bytes.
  public let file: MappedFile
  /// The bytes in `file`: inside it, and as many as `shape` and `dtype` make.
  public let byteRange: Range<Int>

  public init(name: String, dtype: DType, shape: Shape, file: MappedFile, byteRange: Range<Int>) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.file = file
    self.byteRange = byteRange
  }

  /// Whether elements lie at multiples of their size, which safetensors does not promise; else copy before use.
  public var isAligned: Bool { byteRange.lowerBound % (dtype.isQuantized ? 2 : dtype.blockBytes) == 0 }

  /// Calls `body` with the tensor's bytes.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    try file.withBytes(byteRange, body)
  }
}
