import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

/// What is wrong with a file, and a part of what the reader must say about it.
struct DamageCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let message: String
  let damage: @Sendable (inout GGUFBuilder) -> Void

  init(_ name: String, _ message: String, _ damage: @escaping @Sendable (inout GGUFBuilder) -> Void) {
    testDescription = name
    self.message = message
    self.damage = damage
  }
}

@Suite struct GGUFDamageTests {
  @Test("a small file built by hand reads back")
  func small() throws {
    let header = try parseGGUF(GGUFBuilder.small.bytes)
    #expect(header["general.architecture"]?.string == "llama")
    #expect(header["llama.block_count"]?.integer == 1)
    #expect(header["tokenizer.ggml.tokens"]?.strings?.string(2) == "ab")
    #expect(header["numbers"]?.numbers?.integers == [-1, 2])
    #expect(header["flag"]?.bool == true)
    #expect(header.tensors.map(\.name) == ["first", "second"])
    #expect(header.tensors[0].shape == [2, 3])
    #expect(header.tensors[0].byteRange == header.dataOffset..<header.dataOffset + 24)
    #expect(header.tensors[1].byteRange == header.dataOffset + 32..<header.dataOffset + 40)
  }

  @Test("version 2 reads like version 3")
  func version2() throws {
    var builder = GGUFBuilder.small
    builder.version = 2
    let header = try parseGGUF(builder.bytes)
    #expect(header.version == 2 && header.tensors.count == 2)
  }

  @Test("a file cut off anywhere is refused as damaged")
  func truncated() throws {
    let bytes = GGUFBuilder.small.bytes
    // The last 24 bytes are padding after the last tensor, which a file may lack.
    for length in 0..<bytes.count - 24 {
      let error = checkpointError { _ = try parseGGUF(Array(bytes[..<length])) }
      guard case .damaged = error else {
        Issue.record("\(length) of \(bytes.count) bytes: \(String(describing: error))")
        continue
      }
    }
    #expect(try parseGGUF(Array(bytes.dropLast(24))).tensors.count == 2)
  }

  static let cases: [DamageCase] = [
    .init("magic", "does not start with 'GGUF'") { $0.magic = Array("GGML".utf8) },
    .init("version 1", "GGUF version 1") { $0.version = 1 },
    .init("version 4", "GGUF version 4; versions 2 and 3 are read") { $0.version = 4 },
    .init("big endian", "big-endian GGUF") { $0.version = 3 << 24 },
    .init("tensor count", "18446744073709551615 tensors do not fit") { $0.tensorCount = .max },
    .init("tensor count beyond entries", "the file ends inside") { $0.tensorCount = 5 },
    .init("entry count", "9223372036854775808 metadata entries do not fit") { $0.entryCount = 1 << 63 },
    .init("entry count plausible", "is") { $0.entryCount = 9 },
    .init("key length", "the file ends inside a metadata key") {
      $0.entries.insert(GGUFBuilder.number(UInt64.max) + [1], at: 0)
    },
    .init("key not UTF-8", "a metadata key is not valid UTF-8") {
      $0.entries.append(GGUFBuilder.string([0xFF, 0xFE]) + GGUFBuilder.number(UInt32(7)) + [1])
    },
    .init("key twice", "metadata key 'flag' stands there twice") { $0.add("flag", .bool, [0]) },
    .init("unknown type", "metadata 'k' has the unknown type 13") {
      $0.entries.append(GGUFBuilder.string("k") + GGUFBuilder.number(UInt32(13)))
    },
    .init("boolean 2", "metadata 'k' has the boolean 2") { $0.add("k", .bool, [2]) },
    .init("boolean 3 in array", "metadata 'k' has the boolean 3") { $0.addArray("k", .bool, count: 2, [1, 3]) },
    .init("string length", "inside metadata 'k'") { $0.add("k", .string, GGUFBuilder.number(UInt64(1) << 62)) },
    .init("array count", "elements of 'k' do not fit") { $0.addArray("k", .float64, count: 1 << 61, []) },
    .init("array count max", "elements of 'k' do not fit") { $0.addArray("k", .uint8, count: .max, []) },
    .init("strings count", "elements of 'k' do not fit") { $0.addArray("k", .string, count: 1 << 40, []) },
    .init("arrays count", "elements of 'k' do not fit") { $0.addArray("k", .array, count: 1 << 40, []) },
    .init("deep nesting", "nests arrays deeper than 8") {
      let level = GGUFBuilder.number(UInt32(9)) + GGUFBuilder.number(UInt64(1))
      $0.add("k", .array, Array(repeatElement(level, count: 2000).joined()))
    },
    .init("wide nesting", "nests more than 65536 arrays") {
      let empty = GGUFBuilder.number(UInt32(0)) + GGUFBuilder.number(UInt64(0))
      $0.addArray("k", .array, count: 65_537, Array(repeatElement(empty, count: 65_537).joined()))
    },
    .init("alignment 0", "general.alignment is 0") { $0.add("general.alignment", 0) },
    .init("alignment 3", "general.alignment is 3, not a power of two") { $0.add("general.alignment", 3) },
    .init("alignment 4", "general.alignment is 4, not a power of two from 8") { $0.add("general.alignment", 4) },
    .init("alignment 2^40", "general.alignment is 1099511627776") {
      $0.add("general.alignment", .uint64, GGUFBuilder.number(UInt64(1) << 40))
    },
    .init("alignment text", "general.alignment is a string") { $0.add("general.alignment", "32") },
    .init("alignment beyond the file", "only 0 bytes hold tensors") { $0.add("general.alignment", 1 << 20) },
    .init("name twice", "tensor 'first' stands there twice") { $0.addInfo("first", sizes: [1]) },
    .init("name not UTF-8", "a tensor's name is not valid UTF-8") {
      $0.addInfo([0x66, 0xC0, 0x80], sizes: [1], type: 0, offset: 0)
    },
    .init("name length", "a tensor's name has 65536 bytes") {
      $0.addInfo(Array(repeating: 97, count: 65_536), sizes: [1], type: 0, offset: 0)
    },
    .init("rank 9", "tensor 't' has 9 dimensions") { $0.addInfo("t", sizes: Array(repeating: 1, count: 9)) },
    .init("negative dimension", "a dimension of 18446744073709551615") { $0.addInfo("t", sizes: [.max]) },
    .init("overflowing dimensions", "more elements than can be counted") {
      $0.addInfo("t", sizes: [1 << 32, 1 << 32])
    },
    .init("overflow hidden by a zero", "more elements than can be counted") {
      $0.addInfo("t", sizes: [1 << 40, 0, 1 << 40])
    },
    .init("overflowing bytes", "more bytes than can be counted") { $0.addInfo("t", sizes: [1 << 61], type: 28) },
    .init("huge dimension", "the file is cut off") { $0.addInfo("t", sizes: [1 << 40]) },
    .init("huge offset", "the file is cut off") { $0.addInfo("t", sizes: [1], offset: .max - 31) },
    .init("offset at Int.max", "the file is cut off") { $0.addInfo("t", sizes: [1], offset: UInt64(Int.max) - 31) },
    .init("offset just beyond", "the file is cut off") { $0.addInfo("t", sizes: [1], offset: 64) },
    .init("unaligned offset", "tensor 't' starts at 4, not at a multiple of 32") {
      $0.addInfo("t", sizes: [1], offset: 4)
    },
    .init("unknown type with huge offset", "the file is cut off") {
      $0.addInfo("t", sizes: [1], type: 99, offset: 1 << 50)
    },
    .init("partial block", "rows of 31, not whole Q4_0 blocks of 32") { $0.addInfo("t", sizes: [31], type: 2) },
    .init("partial K block", "rows of 128, not whole Q4_K blocks of 256") {
      $0.addInfo("t", sizes: [128, 2], type: 12)
    },
    .init("scalar of blocks", "rows of 1, not whole Q8_0 blocks") { $0.addInfo("t", sizes: [], type: 8) },
    .init("overlap", "'first' and 't' overlap") { $0.addInfo("t", sizes: [2], offset: 0) },
  ]

  @Test("a lie in the header is named", arguments: cases)
  func lies(_ damage: DamageCase) {
    var builder = GGUFBuilder.small
    damage.damage(&builder)
    let error = checkpointError { _ = try parseGGUF(builder.bytes) }
    #expect(error?.description.contains(damage.message) == true, "\(String(describing: error))")
  }

  @Test("tensors without elements, without dimensions and of unknown types are kept")
  func oddTensors() throws {
    var builder = GGUFBuilder.small
    builder.addInfo("empty", sizes: [4, 0])
    builder.addInfo("mystery", sizes: [1 << 40], type: 99, offset: 32)
    builder.data += Array(repeating: 0, count: 32)
    builder.addInfo("scalar", sizes: [], offset: 64)
    let header = try parseGGUF(builder.bytes)
    #expect(header.tensors.map(\.byteRange.count) == [24, 8, 0, 0, 4])
    #expect(header.tensors[2].shape == [0, 4])
    #expect(header.tensors[3].type.name == "type 99" && header.tensors[3].type.dtype == nil)
    #expect(header.tensors[4].shape.rank == 0)
  }

  @Test("names in messages are short and without control characters")
  func quotedNames() {
    var builder = GGUFBuilder.small
    builder.addInfo("\u{1B}[2J" + String(repeating: "x", count: 5000), sizes: [31], type: 2)
    let text = checkpointError { _ = try parseGGUF(builder.bytes) }?.description ?? ""
    #expect(text.contains(#"'\u{1b}[2Jxx"#))
    #expect(text.utf8.count < 400 && !text.utf8.contains(0x1B))
  }

  @Test("no damaged file traps, takes memory its size does not warrant, or makes a record outside itself")
  func mutations() throws {
    let originals = [
      GGUFBuilder.small.bytes, try Golden.bytes("tokenizer.gguf"), try Golden.bytes("metadata.gguf"),
    ]
    let before = peakMemory()
    var refused = 0
    for seed in 0..<Mutation.cases {
      let bytes = Mutation.of(originals[seed % originals.count], seed)
      guard let header = try? parseGGUF(bytes) else {
        refused += 1
        continue
      }
      for tensor in header.tensors { #expect(tensor.byteRange.upperBound <= bytes.count, "seed \(seed)") }
      for entry in header.metadata { _ = entry.value.json() }
      _ = checkpointError { _ = try GGUFTokenizer.description(of: header, path: "x.gguf") }
    }
    #expect(refused > Mutation.cases / 3)
    #expect(peakMemory() - before < 256 << 20)
  }

  @Test("a sparse file of zeros does not fill the memory")
  func sparse() throws {
    var builder = GGUFBuilder()
    builder.addArray("k", .string, count: 1 << 32, [])
    let folder = try ScratchFolder()
    let path = try folder.write("sparse.gguf", builder.bytes)
    #expect(truncateFile(path, to: 1 << 40))
    let before = peakMemory()
    let error = checkpointError { _ = try GGUFFile(path: path) }
    #expect(error?.description.contains("do not fit") == true)
    #expect(peakMemory() - before < 256 << 20)
  }
}
