import AngelTesting
import Testing

@testable import AngelCheckpoint

/// The holes that readers of model files have had in public, one test each; none may be one of ours.
@Suite("Known weaknesses of model file readers")
struct KnownWeaknessTests {
  private func refusal(_ builder: GGUFBuilder) -> String {
    checkpointError { _ = try parseGGUF(builder.bytes) }?.description ?? "nothing"
  }

  private func refusal(_ header: String, dataCount: Int) -> String {
    let bytes =
      GGUFBuilder.number(UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 0, count: dataCount)
    let error = checkpointError {
      _ = try bytes.withUnsafeBytes { try SafetensorsHeader(parsing: $0, path: "x.safetensors") }
    }
    return error?.description ?? "nothing"
  }

  @Test("a tensor that claims more bytes than the file has is refused before it is read (CVE-2026-7482)")
  func lyingSizes() throws {
    for type in [UInt32(0), 2, 8, 10, 12, 20, 23, 34, 35] {
      var builder = GGUFBuilder.small
      builder.addInfo("lie", sizes: [256, 4096], type: type, offset: UInt64(builder.data.count))
      #expect(refusal(builder).contains("the file is cut off"), "type \(type)")
    }
    #expect(
      refusal(#"{"a":{"dtype":"F32","shape":[4096],"data_offsets":[0,16384]}}"#, dataCount: 64).contains("cut off"))
  }

  @Test("sizes whose product or sum overflows are refused (CVE-2025-53630, CVE-2026-27940)")
  func overflows() {
    let shapes: [[UInt64]] = [
      [1 << 32, 1 << 32], [1 << 62, 4], [3, 1 << 61, 2], [UInt64(Int.max), 2], [1 << 16, 1 << 16, 1 << 16, 1 << 16],
    ]
    for sizes in shapes {
      var builder = GGUFBuilder.small
      builder.addInfo("t", sizes: sizes)
      #expect(refusal(builder).contains("more elements than can be counted"), "\(sizes)")
    }
    // Elements that can be counted, bytes that cannot: of plain types and of blocks.
    let rows: [(UInt64, UInt32)] = [
      (1 << 61, 0), (1 << 61, 28), (1 << 62, 27), (UInt64(Int.max) - 255, 8), (UInt64(Int.max) - 255, 14),
    ]
    for (size, type) in rows {
      var builder = GGUFBuilder.small
      builder.addInfo("t", sizes: [size], type: type)
      let text = refusal(builder)
      #expect(
        text.contains("more bytes than can be counted") || text.contains("the file is cut off"), "\(size) \(type)")
    }
    // A sum of two numbers that each pass.
    for offset in [UInt64.max - 31, 1 << 63, UInt64(Int.max) - 31] {
      var builder = GGUFBuilder.small
      builder.addInfo("t", sizes: [64], offset: offset)
      #expect(refusal(builder).contains("the file is cut off"), "\(offset)")
    }
    #expect(
      refusal(#"{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}"#, dataCount: 0) != "nothing")
  }

  @Test(
    "counts of strings, arrays, entries and tensors are held against the file before memory is taken (CVE-2024-21802)")
  func counts() {
    let before = peakMemory()
    for count in [UInt64(1) << 31, 1 << 40, 1 << 62, .max] {
      for type in [GGUFBuilder.ValueType.string, .array, .uint8, .float64] {
        var builder = GGUFBuilder.small
        builder.addArray("k", type, count: count, [])
        #expect(refusal(builder).contains("do not fit"))
      }
      var tensors = GGUFBuilder.small
      tensors.tensorCount = count
      #expect(refusal(tensors).contains("do not fit"))
      var entries = GGUFBuilder.small
      entries.entryCount = count
      #expect(refusal(entries).contains("do not fit"))
    }
    #expect(peakMemory() - before < 64 << 20)
  }

  @Test("alignments that are no power of two, or so large that sums overflow, are refused")
  func alignments() {
    for alignment in [UInt32(0), 1, 3, 7, 24, 33, 1 << 21, .max] {
      var builder = GGUFBuilder.small
      builder.add("general.alignment", alignment)
      #expect(refusal(builder).contains("not a power of two from 8 to 1048576"), "\(alignment)")
    }
  }

  @Test("tensors that share bytes, and names or keys that stand there twice, are refused")
  func overlapsAndDuplicates() {
    var overlap = GGUFBuilder.small
    overlap.addInfo("t", sizes: [1], offset: 0)
    #expect(refusal(overlap).contains("overlap"))
    var name = GGUFBuilder.small
    name.addInfo("second", sizes: [1])
    #expect(refusal(name).contains("tensor 'second' stands there twice"))
    var key = GGUFBuilder.small
    key.add("general.architecture", "qwen3")
    #expect(refusal(key).contains("metadata key 'general.architecture' stands there twice"))
    let tensor = #""a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#
    #expect(refusal("{\(tensor),\(tensor)}", dataCount: 4).contains("key 'a' stands there twice"))
    #expect(refusal(#"{"__metadata__":{"k":"1","k":"2"}}"#, dataCount: 0).contains("key 'k' stands there twice"))
  }

  @Test("types nobody has named make no bytes, and rows that are not whole blocks are refused")
  func types() throws {
    var unknown = GGUFBuilder.small
    unknown.addInfo("t", sizes: [1 << 40], type: 4096)
    let header = try parseGGUF(unknown.bytes)
    #expect(header.tensors.last?.byteRange.isEmpty == true && header.tensors.last?.type.dtype == nil)
    for (type, block) in [(UInt32(2), 32), (8, 32), (20, 32), (10, 256), (11, 256), (14, 256), (23, 256), (34, 256)] {
      for size in [1, block - 1, block + 1] {
        var builder = GGUFBuilder.small
        builder.addInfo("t", sizes: [UInt64(size), 2], type: type)
        #expect(refusal(builder).contains("not whole"), "type \(type), \(size)")
      }
    }
  }

  @Test("nesting ends before the stack does")
  func nesting() {
    let level = GGUFBuilder.number(UInt32(9)) + GGUFBuilder.number(UInt64(1))
    for depth in [9, 1000, 100_000] {
      var builder = GGUFBuilder.small
      builder.add("k", .array, Array(repeatElement(level, count: depth).joined()))
      #expect(refusal(builder).contains("nests arrays deeper than 8"))
      let open = String(repeating: "[", count: depth * 8)
      #expect(refusal(#"{"a":\#(open)"#, dataCount: 0).contains("nested deeper than 64"))
    }
  }
}
