import AngelCore

/// Writes a GGUF file piece by piece: it appears whole when `finish` succeeds, or not at all.
///
/// ```swift
/// var writer = try GGUFWriter(path: path, metadata: metadata, tensors: entries)
/// for entry in entries { try writer.write(bytes(of: entry.name)) }
/// try writer.finish()
/// ```
public struct GGUFWriter: ~Copyable {
  /// One tensor to write.
  public typealias Entry = SafetensorsWriter.Entry

  /// Tensors start at multiples of this many bytes; the format's default, which needs no metadata.
  static let alignment = 32

  private let file: AtomicFile
  private let sizes: [Int]
  private var index = 0
  private var written = 0

  /// Starts the file that is to become `path` and writes its header; tensors' bytes come in the order of `tensors`.
  ///
  /// Throws for types the format has no number for, for names used twice, and when the disk is too small.
  public init(
    path: String, metadata: [(key: String, value: GGUFValue)], tensors: [Entry]
  ) throws(CheckpointError) {
    sizes = tensors.map { $0.dtype.byteCount(of: $0.shape.elementCount) }
    let header = try Self.header(metadata: metadata, tensors: tensors, sizes: sizes, path: path)
    let expected = header.count + sizes.reduce(0) { $0 + Self.padded($1) }
    let file = try accessing(try AtomicFile(path: path, expectedBytes: expected))
    try accessing(try file.write(header))
    self.file = file
  }

  /// Appends bytes of the tensors, in pieces of any size that end at or before the end of a tensor.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    try skipFinished()
    guard !bytes.isEmpty else { return }
    precondition(
      index < sizes.count && bytes.count <= sizes[index] - written,
      "\(bytes.count) bytes for '\(file.path)', past the end of tensor \(index)")
    try accessing(try file.write(bytes))
    written += bytes.count
  }

  /// Syncs the file and gives it its name; traps unless all bytes have been written.
  public consuming func finish() throws(CheckpointError) {
    try skipFinished()
    precondition(index == sizes.count, "'\(file.path)' lacks bytes from tensor \(index) of \(sizes.count) on")
    try accessing(try file.commit())
  }

  /// Pads each tensor that is complete.
  private mutating func skipFinished() throws(CheckpointError) {
    while index < sizes.count, written == sizes[index] {
      try accessing(try file.write(repeatElement(0, count: Self.padded(written) - written)))
      index += 1
      written = 0
    }
  }

  private static func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  private static func header(
    metadata: [(key: String, value: GGUFValue)], tensors: [Entry], sizes: [Int], path: String
  ) throws(CheckpointError) -> [UInt8] {
    var bytes = Array("GGUF".utf8)
    bytes.append(number: UInt32(3))
    bytes.append(number: UInt64(tensors.count))
    bytes.append(number: UInt64(metadata.count))
    precondition(Set(metadata.map(\.key)).count == metadata.count, "a metadata key is written twice")
    for (key, value) in metadata {
      bytes.append(ggufString: key.utf8)
      value.encode(into: &bytes)
    }
    var names: Set<String> = []
    var offset = 0
    for (tensor, size) in zip(tensors, sizes) {
      guard names.insert(tensor.name).inserted else {
        throw .invalidTensor(name: tensor.name, path: path, reason: "the name is taken")
      }
      guard let type = GGMLType(tensor.dtype) else {
        throw .invalidTensor(name: tensor.name, path: path, reason: "GGUF has no type for \(tensor.dtype.name)")
      }
      bytes.append(ggufString: tensor.name.utf8)
      bytes.append(number: UInt32(tensor.shape.rank))
      for size in tensor.shape.array.reversed() { bytes.append(number: UInt64(size)) }
      bytes.append(number: type.rawValue)
      bytes.append(number: UInt64(offset))
      offset += padded(size)
    }
    bytes.append(contentsOf: repeatElement(0, count: padded(bytes.count) - bytes.count))
    return bytes
  }
}
