public import AngelCore
public import AngelTensor

/// One tensor of a file that is being written: what it is called and where its values come from.
public struct TensorSource: Sendable {
  public var name: String
  public var dtype: DType
  public var shape: Shape
  /// The stored tensors whose rows follow one another in this one.
  public var pieces: [Piece]
  /// Added to every value on the way.
  public var offset: Float = 0
  /// Whether the rows are written as columns: dense types only, and the whole tensor at once in memory.
  public var isTransposed = false

  /// Rows of a stored tensor.
  public enum Piece: Sendable {
    /// All rows, or those that `order` lists.
    case rows(TensorRecord, order: [Int32]?)
    /// Columns of a dense matrix, as rows.
    case columns(TensorRecord, Range<Int>)
    /// Rows of a parameter made for this file, all of them or those that `order` lists.
    case encoded(EncodedParameter, order: [Int32]?)
    /// Values made up for the file.
    case floats([Float])
    /// Whole numbers made up for the file.
    case integers([Int64])
    /// What a tensor in blocks holds of one kind.
    case part(LayerPacking.Part, of: TensorSource)
  }

  public init(name: String, dtype: DType, shape: Shape, pieces: [Piece]) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.pieces = pieces
  }

  /// Whether all that it is made of was made as 2:4.
  var isTwoOfFour: Bool {
    pieces.allSatisfy { piece in
      guard case .encoded(let parameter, _) = piece else { return false }
      return parameter.isTwoOfFour
    }
  }

  /// The bytes this tensor takes in a file.
  public var byteCount: Int { dtype.byteCount(of: shape.elementCount) }
}

/// Turns the bytes of stored tensors into another type, a few rows at a time; those of quantised folders are unpacked whole.
public struct TensorEncoder {
  let backend: any Backend
  /// Values a chunk holds at most, beside the one row that it holds at least.
  let chunkElements: Int

  public init(on backend: any Backend, chunkElements: Int = 1 << 20) {
    self.backend = backend
    self.chunkElements = chunkElements
  }

  /// Calls `write` with the bytes of `tensor`, piece by piece.
  ///
  /// Throws when a value has no place in the target type: not finite, or beyond what float16 reaches.
  public func encode(_ tensor: TensorSource, write: (UnsafeRawBufferPointer) throws -> Void) throws {
    guard tensor.isTransposed else { return try encodeRows(tensor, write: write) }
    var rows: [UInt8] = []
    rows.reserveCapacity(tensor.byteCount)
    try encodeRows(tensor) { rows.append(contentsOf: $0) }
    // The file's rows are the columns of what has been gathered.
    let (count, depth) = (tensor.shape[-1], tensor.shape.elementCount / max(1, tensor.shape[-1]))
    let turned = Self.columns(
      0..<depth, of: rows, width: depth, depth: count, elementBytes: tensor.dtype.blockBytes)
    try turned.withUnsafeBytes(write)
  }

  private func encodeRows(_ tensor: TensorSource, write: (UnsafeRawBufferPointer) throws -> Void) throws {
    for piece in tensor.pieces {
      switch piece {
      case .floats(let values):
        try emit(Tensor(values, on: backend), of: tensor, write: write)
      case .integers(let values): try values.withUnsafeBytes(write)
      case .part(let part, let source):
        try encode(source) { try part.extracted(from: $0, source.dtype).withUnsafeBytes(write) }
      case .rows(let record, let order):
        try record.withBytes(on: backend) { try encode($0, record, order, as: tensor, write: write) }
        record.release()
      case .encoded(let parameter, let order):
        try encode(parameter, order, as: tensor, write: write)
      case .columns(let record, let range):
        try record.withBytes(on: backend) { try encodeColumns(range, of: $0, record, as: tensor, write: write) }
        record.release()
      }
    }
  }

  private func encode(
    _ parameter: EncodedParameter, _ order: [Int32]?, as tensor: TensorSource,
    write: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    precondition(
      tensor.dtype == parameter.dtype && tensor.offset == 0, "'\(tensor.name)' is not written as it was encoded")
    try parameter.bytes.withUnsafeBytes { bytes in
      guard let order else { return try write(bytes) }
      let rowBytes = parameter.dtype.byteCount(of: parameter.shape.elementCount / max(1, parameter.shape[0]))
      for row in order {
        try write(UnsafeRawBufferPointer(rebasing: bytes[Int(row) * rowBytes..<(Int(row) + 1) * rowBytes]))
      }
    }
  }

  private func encodeColumns(
    _ range: Range<Int>, of bytes: UnsafeRawBufferPointer, _ record: TensorRecord, as tensor: TensorSource,
    write: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let (depth, width) = (record.shape[0], record.shape[1])
    let step = max(1, chunkElements / max(1, depth))
    for start in stride(from: range.lowerBound, to: range.upperBound, by: step) {
      let part = start..<min(start + step, range.upperBound)
      let rows = Self.columns(part, of: bytes, width: width, depth: depth, elementBytes: record.dtype.blockBytes)
      try rows.withUnsafeBytes { try emit($0, record.dtype, [part.count, depth], of: tensor, write: write) }
    }
  }

  /// Columns `range` of a matrix [depth, width], each as a row.
  private static func columns(
    _ range: Range<Int>, of bytes: some RandomAccessCollection<UInt8>, width: Int, depth: Int, elementBytes: Int
  ) -> [UInt8] {
    func gather(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
      [UInt8](unsafeUninitializedCapacity: range.count * depth * elementBytes) { buffer, count in
        let target = UnsafeMutableRawBufferPointer(buffer)
        for column in range {
          for row in 0..<depth {
            for byte in 0..<elementBytes {
              target[count] = bytes[(row * width + column) * elementBytes + byte]
              count += 1
            }
          }
        }
      }
    }
    return bytes.withContiguousStorageIfAvailable { gather(UnsafeRawBufferPointer($0)) } ?? []
  }

  private func encode(
    _ bytes: UnsafeRawBufferPointer, _ record: TensorRecord, _ order: [Int32]?, as tensor: TensorSource,
    write: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    // A vector of blocks, which no model has, is only ever copied.
    let depth = record.shape.rank < 2 && !record.dtype.isQuantized ? 1 : max(1, record.shape.array.last ?? 1)
    let rowBytes = record.dtype.byteCount(of: depth)
    let step = max(1, chunkElements / depth)
    var gathered: [UInt8] = []
    for start in stride(from: 0, to: order?.count ?? bytes.count / max(1, rowBytes), by: step) {
      guard let order else {
        let range = start * rowBytes..<min((start + step) * rowBytes, bytes.count)
        let chunk = UnsafeRawBufferPointer(rebasing: bytes[range])
        try emit(chunk, record.dtype, [range.count / rowBytes, depth], of: tensor, write: write)
        let first = record.byteRange.lowerBound
        record.release(first + range.lowerBound..<first + range.upperBound)
        continue
      }
      let rows = order[start..<min(start + step, order.count)]
      gathered.removeAll(keepingCapacity: true)
      for row in rows { gathered.append(contentsOf: bytes[Int(row) * rowBytes..<(Int(row) + 1) * rowBytes]) }
      try gathered.withUnsafeBytes { try emit($0, record.dtype, [rows.count, depth], of: tensor, write: write) }
    }
  }

  /// One chunk of whole rows.
  private func emit(
    _ bytes: UnsafeRawBufferPointer, _ dtype: DType, _ shape: Shape, of tensor: TensorSource,
    write: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    if dtype == tensor.dtype, tensor.offset == 0 { return try write(bytes) }
    let values: Tensor
    if dtype.isQuantized {
      let matrix = PackedMatrix(rows: bytes, dtype: dtype, columns: shape[0], depth: shape[1], on: backend)
      values = matrix.dequantized()
    } else {
      values = Tensor(bytes: bytes, shape: shape, dtype: dtype, on: backend).cast(to: .float32)
    }
    try emit(tensor.offset == 0 ? values : values + Double(tensor.offset), of: tensor, write: write)
  }

  /// float32 values, rounded to the target.
  private func emit(_ values: Tensor, of tensor: TensorSource, write: (UnsafeRawBufferPointer) throws -> Void) throws {
    if tensor.dtype != .float32 && tensor.dtype != .float64 { try check(values, tensor) }
    let encoded = tensor.dtype.isQuantized ? values.encodedRows(as: tensor.dtype) : values.cast(to: tensor.dtype)
    try backend.synchronize()
    let bytes = UnsafeRawBufferPointer(start: encoded.address, count: encoded.specification.byteCount)
    try withExtendedLifetime(encoded) { try write(bytes) }
  }

  /// Rounding to these types would turn such values into infinities or worse without a word.
  private func check(_ values: Tensor, _ tensor: TensorSource) throws {
    try backend.synchronize()
    let limit: Float = tensor.dtype == .bfloat16 ? .greatestFiniteMagnitude : 65_504
    let floats = UnsafeRawBufferPointer(start: values.address, count: values.specification.byteCount)
      .bindMemory(to: Float.self)
    let wrong = withExtendedLifetime(values) { floats.first { !($0.magnitude <= limit) } }
    guard let wrong else { return }
    throw CheckpointError.invalidTensor(
      name: tensor.name, path: "the new file",
      reason: "it has the value \(wrong), which \(tensor.dtype.name) cannot hold; choose "
        + (wrong.isFinite ? "bf16 or f32" : "f32"))
  }
}
