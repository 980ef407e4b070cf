import AngelCore
import Testing

@testable import AngelCheckpoint

@Suite("Zip archives")
struct StoreZipTests {
  /// Written by another implementation: a folder, a deflated and a stored member, and a comment.
  private static let sample = """
    504b03041400000000000000210000000000000000000000000007000000666f6c6465722f504b0304140000000800000021
    001057a762140000000802000013000000666f6c6465722f6465666c617465642e7478744bcc4b4fcd295628cecc4bd75148
    1ce58c540e00504b0304140000000000000021008a7e269120000000200000000a00000073746f7265642e62696e00010203
    0405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f504b0102140314000000000000002100000000000000
    000000000000070000000000000000000000800100000000666f6c6465722f504b01021403140000000800000021001057a7
    621400000008020000130000000000000000000000800125000000666f6c6465722f6465666c617465642e747874504b0102
    1403140000000000000021008a7e269120000000200000000a000000000000000000000080016a00000073746f7265642e62
    696e504b05060000000003000300ae000000b20000000800612072656d61726b
    """

  private static var sampleBytes: [UInt8] {
    let digits = Array(sample.utf8.filter { $0 != 10 })
    return stride(from: 0, to: digits.count, by: 2).map {
      UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16) ?? 0
    }
  }

  private func content(_ archive: ZipArchive, _ name: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try archive.extract(try #require(archive[name]), interruption: Interruption()) { bytes += $0 }
    return bytes
  }

  @Test("stored and deflated members come out as they went in")
  func sample() throws {
    let archive = try ZipArchive(.init(bytes: Self.sampleBytes))
    #expect(archive.members.map(\.name) == ["folder/deflated.txt", "stored.bin"])
    let text = String(repeating: "angels sing, ", count: 40)
    #expect(try content(archive, "folder/deflated.txt") == Array(text.utf8))
    #expect(try content(archive, "stored.bin") == Array(0..<32))
  }

  @Test("64-bit sizes and offsets are read")
  func zip64() throws {
    let bytes = StoreZipBuilder.archive([("a", [1, 2, 3]), ("b/c", [4])], usesZip64: true)
    let archive = try ZipArchive(.init(bytes: bytes))
    #expect(archive.members.map(\.size) == [3, 1])
    #expect(try content(archive, "a") == [1, 2, 3])
    #expect(try content(archive, "b/c") == [4])
  }

  @Test(
    "names that leave the target folder are refused",
    arguments: ["/etc/passwd", "../x", "a/../../x", "a\\b", "", "a\0b", "a\nb"])
  func escapes(name: String) {
    #expect(throws: StoreError.self) { try ZipArchive(.init(bytes: StoreZipBuilder.archive([(name, [1])]))) }
  }

  @Test("two members of one name are refused")
  func duplicates() {
    let bytes = StoreZipBuilder.archive([("a", [1]), ("a", [2])])
    #expect(throws: StoreError.self) { try ZipArchive(.init(bytes: bytes)) }
  }

  @Test("a wrong checksum, an unknown method and encryption are refused when the member is read")
  func refusedMembers() throws {
    var builder = StoreZipBuilder()
    builder.add("checksum", [1, 2], checksum: 7)
    builder.add("method", [1, 2], method: 12)
    let archive = try ZipArchive(.init(bytes: builder.finished()))
    for name in ["checksum", "method"] {
      #expect(throws: StoreError.self) { try content(archive, name) }
    }
  }

  @Test("every truncation is refused")
  func truncation() {
    let bytes = Self.sampleBytes
    // The comment at the end may be cut only together with its length field's promise.
    for count in 0..<bytes.count {
      #expect(throws: StoreError.self) { try ZipArchive(.init(bytes: Array(bytes[..<count]))) }
    }
  }

  @Test("mutated archives give an error or sound members, never a trap")
  func mutations() throws {
    let seeds = [Self.sampleBytes, StoreZipBuilder.archive([("a", [1, 2, 3]), ("b/c", [4])], usesZip64: true)]
    var random = SplitMix(state: 20_240_601)
    let cases = Environment.current().runsAllTests ? 20_000 : 2_000
    var readable = 0
    for index in 0..<cases {
      var bytes = seeds[index % seeds.count]
      for _ in 0...Int.random(in: 0..<4, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[place] = [0, 0xFF, 0x7F, 0x80].randomElement(using: &random) ?? 0
        case 2: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 3: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...8, using: &random)))
        default: bytes.insert(contentsOf: [UInt8](repeating: 0xFF, count: 4), at: place)
        }
        if bytes.isEmpty { bytes = [0] }
      }
      do {
        let archive = try ZipArchive(.init(bytes: bytes))
        for member in archive.members {
          var produced = 0
          try archive.extract(member, interruption: Interruption()) { produced += $0.count }
          #expect(produced == member.size)
          readable += 1
        }
      } catch is StoreError {}
    }
    #expect(readable > 0)
  }
}

/// A small generator with a seed (SplitMix64), so that every run meets the same cases.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
