import AngelCore

extension SafetensorsHeader {
  /// The longest header the format allows.
  static let maximumBytes = 100_000_000

  /// Reads the header at the start of `bytes`, the whole file; `path` is for messages only.
  public init(parsing bytes: UnsafeRawBufferPointer, path: String) throws(CheckpointError) {
    func damaged(_ reason: String) -> CheckpointError {
      .damaged(path: path, format: "safetensors", reason: reason)
    }
    var reader = ByteReader(bytes)
    guard let length = reader.integer(UInt64.self) else { throw damaged("its \(bytes.count) bytes hold no header") }
    guard length <= UInt64(Self.maximumBytes) else {
      throw damaged("its header is said to have \(length) bytes; \(Self.maximumBytes) are the most")
    }
    guard let text = reader.take(Int(length)) else {
      throw damaged("its header is said to have \(length) bytes, but only \(reader.remaining) follow")
    }
    guard text.first == UInt8(ascii: "{") else { throw damaged("its header does not start with '{'") }
    let dataOffset = reader.position
    for member in try JSONFile.object(text, path: path, refusingEqualKeys: true).members {
      if member.key == "__metadata__" {
        metadata = try Self.texts(member.value, damaged)
      } else {
        tensors.append(
          try SafetensorsTensor(
            member.key, member.value, dataOffset: dataOffset, dataCount: reader.remaining, damaged))
      }
    }
    tensors.sort {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound) < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
    }
    try requireNoHoles(from: dataOffset, to: bytes.count, damaged)
  }

  private static func texts(
    _ value: JSONValue, _ damaged: (String) -> CheckpointError
  ) throws(CheckpointError) -> [String: String] {
    guard let object = value.object else { throw damaged("__metadata__ is \(value.kind), not an object") }
    var result: [String: String] = [:]
    for member in object.members {
      guard let text = member.value.string else {
        throw damaged("__metadata__ \(quoted(member.key)) is \(member.value.kind), not a string")
      }
      result[member.key] = text
    }
    return result
  }

  /// Tensors are sorted by where they start: each must start where the one before ended.
  private func requireNoHoles(
    from start: Int, to end: Int, _ damaged: (String) -> CheckpointError
  ) throws(CheckpointError) {
    var expected = start
    for tensor in tensors {
      let range = tensor.byteRange
      guard range.lowerBound >= expected else {
        throw damaged("tensor \(quoted(tensor.name)) overlaps the one before it")
      }
      guard range.lowerBound == expected else {
        throw damaged("\(range.lowerBound - expected) bytes before tensor \(quoted(tensor.name)) belong to none")
      }
      expected = range.upperBound
    }
    guard expected == end else { throw damaged("the last \(end - expected) bytes belong to no tensor") }
  }
}

extension SafetensorsTensor {
  fileprivate init(
    _ name: String, _ value: JSONValue, dataOffset: Int, dataCount: Int, _ damaged: (String) -> CheckpointError
  ) throws(CheckpointError) {
    let tensor = "tensor \(quoted(name))"
    guard let typeName = value["dtype"]?.string else { throw damaged("\(tensor) has no dtype") }
    guard let sizes = Self.integers(value["shape"]), let shape = Shape(checking: sizes) else {
      throw damaged("\(tensor) has no shape of up to eight sizes whose product can be counted")
    }
    guard let offsets = Self.integers(value["data_offsets"]), offsets.count == 2 else {
      throw damaged("\(tensor) has no pair of data_offsets")
    }
    let (start, end) = (offsets[0], offsets[1])
    guard start >= 0, start <= end, end <= dataCount else {
      throw damaged("\(tensor) lies at \(start)..<\(end), outside the \(dataCount) bytes of data: the file is cut off")
    }
    let dtype = Self.supportedTypes.first { $0.name == typeName }?.dtype
    if let dtype {
      let (size, overflow) = shape.elementCount.multipliedReportingOverflow(by: dtype.blockBytes)
      guard !overflow, size == end - start else {
        throw damaged("\(tensor) of shape \(shape) and type \(typeName) has \(end - start) bytes")
      }
    }
    self.init(
      name: name, typeName: typeName, dtype: dtype, shape: shape, byteRange: dataOffset + start..<dataOffset + end)
  }

  private static func integers(_ value: JSONValue?) -> [Int]? {
    guard case .array(let values) = value else { return nil }
    var result: [Int] = []
    for value in values {
      // 3.0 is no size, whatever its value.
      guard case .integer(let integer) = value else { return nil }
      result.append(integer)
    }
    return result
  }
}
