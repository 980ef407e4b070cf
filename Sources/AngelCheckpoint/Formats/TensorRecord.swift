public import AngelCore

/// Where one tensor's bytes are and what they mean; reading them is up to the caller.
public struct TensorRecord: Sendable {
  public let name: String
  public let dtype: DType
  /// Sizes outermost first, rows contiguous.
  public let shape: Shape
  /// The bytes in what holds them: inside it, and as many as `shape` and `dtype` make.
  public let byteRange: Range<Int>
  let content: Content

  /// What holds the bytes.
  enum Content: Sendable {
    case file(MappedFile)
    /// They are made as they are read, from how another program has quantised them.
    case quantized(QuantizedMatrix)
  }

  init(name: String, dtype: DType, shape: Shape, content: Content, byteRange: Range<Int>) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.content = content
    self.byteRange = byteRange
  }

  init(_ matrix: QuantizedMatrix) {
    self.init(
      name: matrix.name, dtype: matrix.form.dtype, shape: matrix.shape, content: .quantized(matrix),
      byteRange: 0..<matrix.byteCount)
  }

  /// Whether elements lie at multiples of their size, which safetensors does not promise; else copy before use.
  public var isAligned: Bool { byteRange.lowerBound % (dtype.isQuantized ? 2 : dtype.blockBytes) == 0 }

  /// Calls `body` with the tensor's bytes.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    try withBytes(performing: { count, body in for index in 0..<count { body(index) } }, body)
  }

  /// Calls `body` with the tensor's bytes, which `work` may help to make.
  func withBytes<Result>(
    performing work: QuantizedMatrix.Work, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    switch content {
    case .file(let file): return try file.withBytes(byteRange, body)
    case .quantized(let matrix):
      let rowBytes = dtype.byteCount(of: matrix.inputs)
      return try matrix.withRows(
        byteRange.lowerBound / rowBytes..<byteRange.upperBound / rowBytes, performing: work, body)
    }
  }

  /// Gives the memory of the tensor's pages back; bytes touched again are read from the file again.
  func release() { release(byteRange) }

  /// The same for a part of `byteRange`.
  func release(_ range: Range<Int>) {
    switch content {
    case .file(let file): file.release(range)
    case .quantized(let matrix): if range.upperBound == byteRange.upperBound { matrix.release() }
    }
  }

  /// The files that hold it.
  var files: [MappedFile] {
    switch content {
    case .file(let file): [file]
    case .quantized(let matrix): matrix.stored.map(\.file)
    }
  }
}
