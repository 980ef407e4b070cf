import AngelCore

/// Writes a GGUF file piece by piece, or the parts of a split one: it appears when `finish` succeeds, and its parts last to
/// first, so that what is opened is there only when all are.
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

  private let layout: Layout
  /// Parts that are whole or being written; they get their names together.
  private var files: [AtomicFile]
  private var index = 0
  private var written = 0

  /// More parts than this are a slip of the hand, and would be that many open files.
  static let mostParts = 500

  /// Starts the file that is to become `path` and writes its header; tensors' bytes come in the order of `tensors`.
  ///
  /// - Parameter splitBytes: the most bytes of tensors in one file, a single larger tensor aside. When they do not fit
  ///   one, parts are written in its place: `model-00001-of-00003.gguf` and so on, metadata in the first.
  /// - Throws: for types the format has no number for, names used twice, more than 500 parts, and when the disk is too small.
  public init(
    path: String, metadata: [(key: String, value: GGUFValue)], tensors: [Entry], splitBytes: Int = .max
  ) throws(CheckpointError) {
    var names: Set<String> = []
    for tensor in tensors where !names.insert(tensor.name).inserted {
      throw .invalidTensor(name: tensor.name, path: path, reason: "the name is taken")
    }
    let layout = try Layout(path: path, tensors: tensors, splitBytes: splitBytes)
    files = [try layout.start(0, metadata: metadata)]
    self.layout = layout
  }

  /// The files that tensors of `sizes` bytes go to when they are written as `path`.
  public static func paths(for path: String, sizes: [Int], splitBytes: Int) throws(CheckpointError) -> [String] {
    let count = ShardPlan.ranges(of: sizes, limit: splitBytes).count
    guard count > 1 else { return [path] }
    guard count <= mostParts else {
      throw .unsupported(
        path: path, reason: "it would be \(count) parts of \(TextFormat.bytes(splitBytes)); \(mostParts) are the most")
    }
    let name = SplitName(stem: path, count: count)
    return (1...count).map(name.path)
  }

  /// Which tensors go to which file.
  private struct Layout {
    let tensors: [Entry]
    let sizes: [Int]
    let parts: [Range<Int>]
    /// The file asked for, or parts called as llama.cpp calls them.
    let paths: [String]

    init(path: String, tensors: [Entry], splitBytes: Int) throws(CheckpointError) {
      self.tensors = tensors
      sizes = tensors.map { $0.dtype.byteCount(of: $0.shape.elementCount) }
      parts = ShardPlan.ranges(of: sizes, limit: splitBytes)
      paths = try GGUFWriter.paths(for: path, sizes: sizes, splitBytes: splitBytes)
    }

    /// Starts a part, whose header says which it is; the first needs room for all.
    func start(
      _ number: Int, metadata: [(key: String, value: GGUFValue)] = []
    ) throws(CheckpointError) -> AtomicFile {
      let part = parts.count > 1 ? Part(number: number, count: parts.count, tensorCount: tensors.count) : nil
      let range = parts[number]
      let header = try GGUFWriter.header(
        metadata: metadata, part: part, tensors: tensors[range], sizes: sizes[range], path: paths[number])
      let expected = number > 0 ? 0 : header.count + sizes.reduce(0) { $0 + GGUFWriter.padded($1) }
      let file = try accessing(try AtomicFile(path: paths[number], expectedBytes: expected))
      try accessing(try file.write(header))
      return file
    }
  }

  /// The file that the next tensor goes to.
  private mutating func file() throws(CheckpointError) -> AtomicFile {
    if index == layout.parts[files.count - 1].upperBound { files.append(try layout.start(files.count)) }
    return files[files.count - 1]
  }

  /// Appends bytes of the tensors, in pieces of any size that end at or before the end of a tensor.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    try skipFinished()
    guard !bytes.isEmpty else { return }
    precondition(
      index < layout.sizes.count && bytes.count <= layout.sizes[index] - written,
      "\(bytes.count) bytes for '\(layout.paths[0])', past the end of tensor \(index)")
    let file = try file()
    try accessing(try file.write(bytes))
    written += bytes.count
  }

  /// Syncs the files and gives them their names; traps unless all bytes have been written.
  public consuming func finish() throws(CheckpointError) {
    try skipFinished()
    precondition(
      index == layout.sizes.count, "'\(layout.paths[0])' lacks bytes from tensor \(index) of \(layout.sizes.count) on")
    // The first part last: it is the one that is opened, and stands for the whole.
    var named: [String] = []
    for file in files.reversed() {
      do throws(FileError) { try file.commit() } catch {
        for path in named { try? FileOperations.remove(path) }
        throw .file(error)
      }
      named.append(file.path)
    }
  }

  /// Pads each tensor that is complete.
  private mutating func skipFinished() throws(CheckpointError) {
    while index < layout.sizes.count, written == layout.sizes[index] {
      // Empty tensors are finished before they begin, at the start of a part too.
      let file = try file()
      try accessing(try file.write(repeatElement(0, count: Self.padded(written) - written)))
      index += 1
      written = 0
    }
  }

  private static func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  /// Which part of a split file a file is, and how many tensors all have together.
  private struct Part {
    let number: Int
    let count: Int
    let tensorCount: Int

    /// The keys with the widths that llama.cpp asks for.
    func append(to bytes: inout [UInt8]) {
      for (key, value) in [("split.no", number), ("split.count", count)] {
        bytes.append(ggufString: key.utf8)
        bytes.append(number: GGUFType.uint16.rawValue)
        bytes.append(number: UInt16(value))
      }
      bytes.append(ggufString: "split.tensors.count".utf8)
      bytes.append(number: GGUFType.int32.rawValue)
      bytes.append(number: Int32(tensorCount))
    }
  }

  private static func header(
    metadata: [(key: String, value: GGUFValue)], part: Part?, tensors: ArraySlice<Entry>, sizes: ArraySlice<Int>,
    path: String
  ) throws(CheckpointError) -> [UInt8] {
    var bytes = Array("GGUF".utf8)
    bytes.append(number: UInt32(3))
    bytes.append(number: UInt64(tensors.count))
    bytes.append(number: UInt64(metadata.count + (part == nil ? 0 : 3)))
    precondition(Set(metadata.map(\.key)).count == metadata.count, "a metadata key is written twice")
    for (key, value) in metadata {
      bytes.append(ggufString: key.utf8)
      value.encode(into: &bytes)
    }
    part?.append(to: &bytes)
    var offset = 0
    for (tensor, size) in zip(tensors, sizes) {
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
