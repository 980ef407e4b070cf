import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

@Suite struct SafetensorsTests {
  /// Parses a file of `header` and as many zeros as `dataCount`.
  func parse(_ header: String, dataCount: Int = 0, length: UInt64? = nil) throws -> SafetensorsHeader {
    let bytes =
      GGUFBuilder.number(length ?? UInt64(header.utf8.count)) + header.utf8 + Array(repeating: 0, count: dataCount)
    return try bytes.withUnsafeBytes { try SafetensorsHeader(parsing: $0, path: "x.safetensors") }
  }

  @Test("every type has the values that the safetensors package wrote")
  func golden() throws {
    let file = try SafetensorsFile(path: Golden.path("types.safetensors"))
    #expect(file.header.metadata == ["format": "pt", "author": "Angel"])
    func values(_ name: String) throws -> [Float] {
      let tensor = try #require(file.header.tensors.first { $0.name == name })
      let dtype = try #require(tensor.dtype)
      return ReferenceDequantizer.values(try file.file.withBytes(tensor.byteRange) { Array($0) }, dtype)
    }
    #expect(try values("f64") == [1.5, -2.5])
    #expect(try values("f32") == [0, 1, 2, 3, 4, 5])
    #expect(try values("f16") == [0.5, 65504])
    #expect(try values("i64") == [Float(Int64.min), Float(Int64.max)])
    #expect(try values("i32") == [-7, 7])
    #expect(try values("u8") == [0, 255])
    #expect(try values("scalar") == [3.25])
    #expect(try values("empty").isEmpty)
    let mask = try #require(file.header.tensors.first { $0.name == "mask" })
    #expect(mask.dtype == nil && mask.typeName == "BOOL")
    #expect(file.header.tensors.first { $0.name == "f32" }?.shape == [1, 2, 3])
  }

  @Test(
    "a header that breaks a rule is refused with the rule",
    arguments: [
      (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "of shape [2] and type F32 has 4 bytes"),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 8, "the last 4 bytes belong to no tensor"),
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "4 bytes before tensor 'a' belong to none"),
      (
        #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
        6,
        "tensor 'b' overlaps"
      ),
      (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}"#, 4, "lies at 4..<0"),
      (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}}"#, 4, "lies at -4..<0"),
      (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,9223372036854775807]}}"#, 4, "the file is cut off"),
      (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,9223372036854775808]}}"#, 4, "no pair of data_offsets"),
      (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0]}}"#, 4, "no pair of data_offsets"),
      (#"{"a":{"dtype":"U8","shape":[4]}}"#, 4, "no pair of data_offsets"),
      (#"{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}"#, 4, "no shape"),
      (#"{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}"#, 4, "no shape"),
      (#"{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,4]}}"#, 4, "no shape"),
      (#"{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0, "no shape"),
      (#"{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}"#, 0, "has 0 bytes"),
      (#"{"a":{"shape":[4],"data_offsets":[0,4]}}"#, 4, "no dtype"),
      (#"{"a":[]}"#, 0, "no dtype"),
      (#"{"__metadata__":{"a":1}}"#, 0, "__metadata__ 'a' is a number"),
      (#"{"__metadata__":[]}"#, 0, "__metadata__ is an array"),
      (#" {}"#, 0, "does not start with '{'"),
      (#"{"a":"#, 0, "JSON"),
      ("", 0, "does not start with '{'"),
    ])
  func brokenRules(_ header: String, _ dataCount: Int, _ message: String) {
    let error = checkpointError { _ = try parse(header, dataCount: dataCount) }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }

  @Test(
    "a header length is held against the format's limit and the file", arguments: [100_000_001, UInt64.max, 3, 1 << 63])
  func headerLength(_ length: UInt64) {
    let error = checkpointError { _ = try parse("{}", length: length) }
    #expect(error?.description.contains("header is said to have \(length) bytes") == true)
  }

  @Test("a file cut off anywhere is refused")
  func truncated() throws {
    let bytes = try Golden.bytes("types.safetensors")
    for length in bytes.indices {
      let error = checkpointError {
        _ = try bytes[..<length].withUnsafeBytes { try SafetensorsHeader(parsing: $0, path: "x") }
      }
      guard case .damaged = error else {
        Issue.record("\(length) bytes were read")
        continue
      }
    }
  }

  @Test("no damaged file traps or makes a record outside itself")
  func mutations() throws {
    let original = try Golden.bytes("types.safetensors")
    let before = peakMemory()
    for seed in 0..<Mutation.cases {
      let bytes = Mutation.of(original, seed)
      let header = try? bytes.withUnsafeBytes { try SafetensorsHeader(parsing: $0, path: "x") }
      for tensor in header?.tensors ?? [] {
        #expect(tensor.byteRange.upperBound <= bytes.count, "seed \(seed)")
        if let dtype = tensor.dtype {
          #expect(dtype.byteCount(of: tensor.shape.elementCount) == tensor.byteRange.count, "seed \(seed)")
        }
      }
    }
    #expect(peakMemory() - before < 256 << 20)
  }

  @Test("what the writer wrote reads back, aligned and in order")
  func roundTrip() throws {
    let folder = try ScratchFolder()
    let path = folder.path + "/out.safetensors"
    var writer = try SafetensorsWriter(
      path: path,
      tensors: [
        .init(name: "u", dtype: .uint8, shape: [3]), .init(name: "b", dtype: .bfloat16, shape: [2, 2]),
        .init(name: "a", dtype: .bfloat16, shape: [1]), .init(name: "w", dtype: .float64, shape: []),
      ], metadata: ["z": "1", "format": "ängel"])
    #expect(writer.tensors.map(\.name) == ["w", "a", "b", "u"])
    let data = (0..<21).map { UInt8($0) }
    try data[..<5].withUnsafeBytes { try writer.write($0) }
    #expect(FilePath.kind(path) == nil, "the name appears only when the file is whole")
    try data[5...].withUnsafeBytes { try writer.write($0) }
    try writer.finish()
    #expect(folder.names == ["out.safetensors"])
    let file = try SafetensorsFile(path: path)
    #expect(file.header.metadata == ["z": "1", "format": "ängel"])
    #expect(file.header.tensors.map(\.name) == ["w", "a", "b", "u"])
    #expect(file.header.tensors.map(\.dtype) == [.float64, .bfloat16, .bfloat16, .uint8])
    #expect(file.header.tensors.map(\.shape) == [[], [1], [2, 2], [3]])
    let start = try #require(file.header.tensors.first).byteRange.lowerBound
    #expect(start % 64 == 0)
    #expect(try file.file.withBytes(start..<start + 21) { Array($0) } == data)
  }

  @Test("an unfinished file leaves nothing behind, and what stood there stays")
  func unfinished() throws {
    let folder = try ScratchFolder()
    let path = try folder.write("out.safetensors", "before")
    do {
      var writer = try SafetensorsWriter(path: path, tensors: [.init(name: "a", dtype: .uint8, shape: [8])])
      try [UInt8](repeating: 1, count: 4).withUnsafeBytes { try writer.write($0) }
      #expect(folder.names.count == 2)
    }
    #expect(folder.names == ["out.safetensors"])
    #expect(try MappedFile(path: path).byteCount == 6)
  }

  @Test("the writer refuses what the format has no words for")
  func unwritable() throws {
    let folder = try ScratchFolder()
    func error(_ tensors: [SafetensorsWriter.Entry]) -> String? {
      checkpointError { _ = try SafetensorsWriter(path: folder.path + "/x", tensors: tensors) }?.description
    }
    #expect(error([.init(name: "q", dtype: .q4_0, shape: [32])])?.contains("no type for q4_0") == true)
    let twice = SafetensorsWriter.Entry(name: "a", dtype: .uint8, shape: [1])
    #expect(error([twice, twice])?.contains("'a'") == true)
    #expect(error([.init(name: "__metadata__", dtype: .uint8, shape: [1])])?.contains("the name is taken") == true)
    let huge = SafetensorsWriter.Entry(name: "huge", dtype: .uint8, shape: [1 << 60])
    #expect(error([huge])?.contains("no room for") == true)
    #expect(folder.names.isEmpty)
  }
}
