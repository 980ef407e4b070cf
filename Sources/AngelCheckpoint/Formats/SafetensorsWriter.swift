public import AngelCore

/// Writes a safetensors file piece by piece: it appears whole when `finish` succeeds, or not at all.
///
/// ```swift
/// var writer = try SafetensorsWriter(path: path, tensors: entries)
/// for entry in writer.tensors { try writer.write(bytes(of: entry.name)) }
/// try writer.finish()
/// ```
public struct SafetensorsWriter: ~Copyable {
  /// One tensor to write.
  public struct Entry: Sendable, Hashable {
    public var name: String
    public var dtype: DType
    public var shape: Shape

    public init(name: String, dtype: DType, shape: Shape) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
    }
  }

  /// The tensors in the order in which their bytes must come: wider types first, then by name, so that all are aligned.
  public let tensors: [Entry]
  private let file: AtomicFile
  private let byteCount: Int

  /// Starts the file that is to become `path` and writes its header.
  ///
  /// Throws for block formats, which safetensors has no names for, for names used twice, and when the disk is too small.
  public init(path: String, tensors: [Entry], metadata: [String: String] = [:]) throws(CheckpointError) {
    let tensors = tensors.sorted { ($1.dtype.blockBytes, $0.name) < ($0.dtype.blockBytes, $1.name) }
    let (header, dataCount) = try Self.header(of: tensors, metadata: metadata, path: path)
    let byteCount = 8 + header.count + dataCount
    let file = try accessing(try AtomicFile(path: path, expectedBytes: byteCount))
    try accessing(try file.write(withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init)))
    try accessing(try file.write(header))
    self.tensors = tensors
    self.byteCount = byteCount
    self.file = file
  }

  /// Appends bytes of the tensors, in the order of `tensors`, in pieces of any size.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    precondition(
      bytes.count <= byteCount - file.byteCount,
      "\(bytes.count) bytes for '\(file.path)', whose tensors have \(byteCount - file.byteCount) left")
    try accessing(try file.write(bytes))
  }

  /// Syncs the file and gives it its name; traps unless all bytes have been written.
  public consuming func finish() throws(CheckpointError) {
    precondition(file.byteCount == byteCount, "'\(file.path)' has \(file.byteCount) bytes of \(byteCount)")
    try accessing(try file.commit())
  }

  private static func header(
    of tensors: [Entry], metadata: [String: String], path: String
  ) throws(CheckpointError) -> (text: [UInt8], dataCount: Int) {
    var object = JSONObject()
    if !metadata.isEmpty {
      object["__metadata__"] = .object(
        JSONObject(metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
    }
    var offset = 0
    for tensor in tensors {
      guard tensor.name != "__metadata__", object[tensor.name] == nil else {
        throw .invalidTensor(name: tensor.name, path: path, reason: "the name is taken")
      }
      guard let typeName = SafetensorsTensor.supportedTypes.first(where: { $0.dtype == tensor.dtype })?.name else {
        throw .invalidTensor(
          name: tensor.name, path: path, reason: "safetensors has no type for \(tensor.dtype.name); write a GGUF file")
      }
      let end = offset + tensor.dtype.byteCount(of: tensor.shape.elementCount)
      object[tensor.name] = [
        "dtype": .string(typeName), "shape": .array(tensor.shape.array.map { .integer($0) }),
        "data_offsets": [.integer(offset), .integer(end)],
      ]
      offset = end
    }
    var text = Array(JSONValue.object(object).encoded().utf8)
    // Data that starts at a multiple of 64 bytes can be used where it is mapped. The length itself takes eight.
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (64 - (text.count + 8) % 64) % 64))
    return (text, offset)
  }
}
