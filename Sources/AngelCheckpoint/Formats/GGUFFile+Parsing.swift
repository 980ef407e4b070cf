import AngelCore

extension GGUFHeader {
  /// Reads the header at the start of `bytes`, the whole file; `path` is for messages only.
  public init(parsing bytes: UnsafeRawBufferPointer, path: String) throws(CheckpointError) {
    var parser = GGUFParser(bytes: bytes, path: path)
    self = try parser.header()
  }
}

/// The most a header may claim, over what the file's size allows.
enum GGUFLimit {
  /// Vocabularies take a few MB; this keeps a sparse file from filling the memory.
  static let headerBytes = 1 << 28
  static let arrayDepth = 8
  static let arraysOfArrays = 1 << 16
  static let alignment: UInt64 = 1 << 20
  static let nameBytes = 65_535
}

private struct GGUFParser {
  let fileSize: Int
  let path: String
  var reader: ByteReader
  private var nestedArrays = 0

  init(bytes: UnsafeRawBufferPointer, path: String) {
    fileSize = bytes.count
    self.path = path
    reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes.prefix(GGUFLimit.headerBytes)))
  }

  mutating func header() throws(CheckpointError) -> GGUFHeader {
    var header = GGUFHeader()
    header.version = try version()
    let tensorCount = try count("tensors", minimumBytes: 24)
    let entryCount = try count("metadata entries", minimumBytes: 13)
    try readMetadata(entryCount, into: &header)
    if let value = header["general.alignment"] { header.alignment = try alignment(value) }
    let infos = try tensorInfos(tensorCount)
    // The sum cannot overflow: a position is below 2^28, an alignment at most 2^20.
    header.dataOffset = (reader.position + header.alignment - 1) / header.alignment * header.alignment
    header.tensors.reserveCapacity(infos.count)
    for info in infos { header.tensors.append(try tensor(info, in: header)) }
    try refuseOverlaps(header.tensors)
    return header
  }

  func damaged(_ reason: String) -> CheckpointError {
    .damaged(path: path, format: "GGUF", reason: reason, offset: reader.position)
  }

  func ended(_ what: String) -> CheckpointError {
    fileSize > GGUFLimit.headerBytes
      ? damaged("\(what) would end past \(GGUFLimit.headerBytes) bytes, the most a header may take")
      : damaged("the file ends inside \(what)")
  }

  // MARK: Head

  mutating func version() throws(CheckpointError) -> Int {
    guard let magic = reader.take(4), magic.elementsEqual("GGUF".utf8) else {
      throw damaged("it does not start with 'GGUF'")
    }
    guard let version = reader.integer(UInt32.self) else { throw ended("the version") }
    switch version {
    case 2, 3: return Int(version)
    case 1: throw .unsupported(path: path, reason: "GGUF version 1; convert it with a current llama.cpp")
    // Versions are small, so a value with empty low bytes is one of the other byte order.
    case let value where value & 0xFFFF == 0 && value != 0:
      throw .unsupported(path: path, reason: "big-endian GGUF; convert it to little endian with gguf-convert-endian")
    default: throw .unsupported(path: path, reason: "GGUF version \(version); versions 2 and 3 are read")
    }
  }

  /// A count whose entries take at least `minimumBytes` each, so that it cannot ask for more memory than the file has.
  mutating func count(_ what: String, minimumBytes: Int) throws(CheckpointError) -> Int {
    guard let count = reader.integer(UInt64.self) else { throw ended("the number of \(what)") }
    guard count <= UInt64(reader.remaining / minimumBytes) else {
      throw damaged("\(count) \(what) do not fit the \(reader.remaining) bytes that are left")
    }
    return Int(count)
  }

  mutating func name(_ what: String) throws(CheckpointError) -> String {
    guard let bytes = reader.byteString() else { throw ended(what) }
    guard bytes.count <= GGUFLimit.nameBytes else { throw damaged("\(what) has \(bytes.count) bytes") }
    guard let name = String(validating: bytes, as: UTF8.self) else { throw damaged("\(what) is not valid UTF-8") }
    return name
  }

  // MARK: Metadata

  mutating func readMetadata(_ count: Int, into header: inout GGUFHeader) throws(CheckpointError) {
    header.metadata.reserveCapacity(min(count, 1024))
    for _ in 0..<count {
      let key = try name("a metadata key")
      guard header.index.updateValue(header.metadata.count, forKey: key) == nil else {
        throw damaged("metadata key \(quoted(key)) stands there twice")
      }
      let type = try valueType(of: key)
      header.metadata.append((key, try value(type, key: key, depth: 0)))
    }
  }

  mutating func valueType(of key: String) throws(CheckpointError) -> GGUFType {
    guard let number = reader.integer(UInt32.self) else { throw ended("metadata \(quoted(key))") }
    guard let type = GGUFType(rawValue: number) else {
      throw damaged("metadata \(quoted(key)) has the unknown type \(number)")
    }
    return type
  }

  mutating func value(_ type: GGUFType, key: String, depth: Int) throws(CheckpointError) -> GGUFValue {
    switch type {
    case .string:
      guard let bytes = reader.byteString() else { throw ended("metadata \(quoted(key))") }
      return .string(String(decoding: bytes, as: UTF8.self))
    case .array: return try array(key: key, depth: depth + 1)
    case .uint8, .int8, .uint16, .int16, .uint32, .int32, .float32, .bool, .uint64, .int64, .float64:
      guard let bytes = reader.take(type.minimumBytes) else { throw ended("metadata \(quoted(key))") }
      if type == .bool { try checkBooleans(bytes, key: key) }
      return GGUFValue(number: type, bytes, at: 0)
    }
  }

  func checkBooleans(_ bytes: UnsafeRawBufferPointer, key: String) throws(CheckpointError) {
    guard let wrong = bytes.first(where: { $0 > 1 }) else { return }
    throw damaged("metadata \(quoted(key)) has the boolean \(wrong), not 0 or 1")
  }

  mutating func array(key: String, depth: Int) throws(CheckpointError) -> GGUFValue {
    guard depth <= GGUFLimit.arrayDepth else {
      throw damaged("metadata \(quoted(key)) nests arrays deeper than \(GGUFLimit.arrayDepth)")
    }
    let type = try valueType(of: key)
    let count = try count("elements of \(quoted(key))", minimumBytes: type.minimumBytes)
    switch type {
    case .string: return .strings(try strings(count, key: key))
    case .array:
      nestedArrays += count
      guard nestedArrays <= GGUFLimit.arraysOfArrays else {
        throw damaged("metadata nests more than \(GGUFLimit.arraysOfArrays) arrays in arrays")
      }
      var arrays: [GGUFValue] = []
      for _ in 0..<count { arrays.append(try array(key: key, depth: depth + 1)) }
      return .arrays(arrays)
    case .uint8, .int8, .uint16, .int16, .uint32, .int32, .float32, .bool, .uint64, .int64, .float64:
      guard let bytes = reader.take(count * type.minimumBytes) else { throw ended("metadata \(quoted(key))") }
      if type == .bool { try checkBooleans(bytes, key: key) }
      return .numbers(GGUFNumbers(type: type, bytes: bytes))
    }
  }

  mutating func strings(_ count: Int, key: String) throws(CheckpointError) -> StringTable {
    guard let strings = reader.byteStrings(count) else { throw ended("metadata \(quoted(key))") }
    return strings
  }

  func alignment(_ value: GGUFValue) throws(CheckpointError) -> Int {
    guard case .unsigned(let number) = value else {
      throw damaged("general.alignment is \(value.kind), not an unsigned integer")
    }
    guard number >= 8, number.nonzeroBitCount == 1, number <= GGUFLimit.alignment else {
      throw damaged("general.alignment is \(number), not a power of two from 8 to \(GGUFLimit.alignment)")
    }
    return Int(number)
  }

  // MARK: Tensors

  /// A tensor as the header has it, before its place in the file is known.
  struct TensorInfo {
    let name: String
    let shape: Shape
    let type: GGMLType
    let offset: UInt64
  }

  mutating func tensorInfos(_ count: Int) throws(CheckpointError) -> [TensorInfo] {
    var infos: [TensorInfo] = []
    infos.reserveCapacity(min(count, 4096))
    var names: Set<String> = []
    for _ in 0..<count {
      let name = try name("a tensor's name")
      guard names.insert(name).inserted else { throw damaged("tensor \(quoted(name)) stands there twice") }
      let shape = try shape(of: name)
      guard let type = reader.integer(UInt32.self), let offset = reader.integer(UInt64.self) else {
        throw ended("tensor \(quoted(name))")
      }
      infos.append(TensorInfo(name: name, shape: shape, type: GGMLType(rawValue: type), offset: offset))
    }
    return infos
  }

  mutating func shape(of name: String) throws(CheckpointError) -> Shape {
    guard let rank = reader.integer(UInt32.self) else { throw ended("tensor \(quoted(name))") }
    guard rank <= 8 else { throw damaged("tensor \(quoted(name)) has \(rank) dimensions; 8 are the most") }
    var sizes: [Int] = []
    for _ in 0..<rank {
      guard let size = reader.integer(UInt64.self) else { throw ended("tensor \(quoted(name))") }
      guard let size = Int(exactly: size) else { throw damaged("tensor \(quoted(name)) has a dimension of \(size)") }
      sizes.append(size)
    }
    // The file has the innermost dimension first.
    guard let shape = Shape(checking: sizes.reversed()) else {
      throw damaged("tensor \(quoted(name)) of dimensions \(sizes) has more elements than can be counted")
    }
    return shape
  }

  func tensor(_ info: TensorInfo, in header: GGUFHeader) throws(CheckpointError) -> GGUFTensor {
    let tensor = "tensor \(quoted(info.name))"
    guard info.offset % UInt64(header.alignment) == 0 else {
      throw damaged("\(tensor) starts at \(info.offset), not at a multiple of \(header.alignment)")
    }
    let size = try byteCount(of: info)
    // Both comparisons are between values the file's size bounds, so that nothing overflows.
    let available = max(fileSize - header.dataOffset, 0)
    guard info.offset <= UInt64(available), size <= available - Int(info.offset) else {
      throw damaged(
        "\(tensor) has \(size) bytes from \(info.offset) on, but only \(available) bytes hold tensors: the file is cut off"
      )
    }
    let start = header.dataOffset + Int(info.offset)
    return GGUFTensor(name: info.name, shape: info.shape, type: info.type, byteRange: start..<start + size)
  }

  func byteCount(of info: TensorInfo) throws(CheckpointError) -> Int {
    // A type nobody knows: the tensor is refused when it is asked for.
    guard let block = info.type.block else { return 0 }
    let row = info.shape.rank == 0 ? 1 : info.shape[-1]
    guard row % block.elements == 0 else {
      throw damaged(
        "tensor \(quoted(info.name)) has rows of \(row), not whole \(info.type.name) blocks of \(block.elements)")
    }
    let (size, overflow) = (info.shape.elementCount / block.elements).multipliedReportingOverflow(by: block.bytes)
    guard !overflow else { throw damaged("tensor \(quoted(info.name)) has more bytes than can be counted") }
    return size
  }

  func refuseOverlaps(_ tensors: [GGUFTensor]) throws(CheckpointError) {
    let sorted = tensors.filter { !$0.byteRange.isEmpty }.sorted { $0.byteRange.lowerBound < $1.byteRange.lowerBound }
    for (first, second) in zip(sorted, sorted.dropFirst())
    where second.byteRange.lowerBound < first.byteRange.upperBound {
      throw damaged("tensors \(quoted(first.name)) and \(quoted(second.name)) overlap")
    }
  }
}

extension Shape {
  /// A shape from sizes out of a file; nil above eight axes, for a negative size, or when the count of elements overflows.
  init?(checking sizes: [Int]) {
    guard sizes.count <= 8 else { return nil }
    var product = 1
    for size in sizes {
      guard size >= 0 else { return nil }
      // A size of zero must not hide an overflow before it: `elementCount` multiplies from the left.
      let (next, overflow) = product.multipliedReportingOverflow(by: max(size, 1))
      guard !overflow else { return nil }
      product = next
    }
    self.init(sizes)
  }
}
