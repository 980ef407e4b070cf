import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

/// Decompression bombs, and the kind of 2019 whose members overlap.
@Suite("Attacks on the store: archives")
struct StoreBombTests {
  /// 200,000 zeros as raw deflate data, 211 bytes; written by another implementation.
  private var bomb: [UInt8] {
    [0xED, 0xC1, 0x31, 0x01, 0, 0, 0, 0xC2, 0xA0, 0xF5, 0x4F, 0x6D, 0x06, 0x7F, 0xA0]
      + [UInt8](repeating: 0, count: 193)
      + [0x80, 0xD7, 0x00]
  }

  @Test("a member that unpacks to more than it claims is stopped before its bytes are handed on")
  func bombByLying() throws {
    var builder = StoreZipBuilder()
    builder.add("bomb", bomb, method: 8)
    let archive = try ZipArchive(.init(bytes: builder.finished()))
    var count = 0
    #expect(throws: StoreError.self) {
      try archive.extract(try #require(archive["bomb"]), interruption: Interruption()) { count += $0.count }
    }
    #expect(count <= bomb.count)
  }

  @Test("a member that claims more than deflate can do is refused unread")
  func bombByClaim() {
    var bytes = StoreZipBuilder.archive([("bomb", [1, 2, 3, 4])])
    let directory = bytes.count - 22 - 46 - 4
    for (index, byte) in [0xFF, 0xFF, 0xFF, 0x7F].enumerated() { bytes[directory + 24 + index] = UInt8(byte) }
    #expect(throws: StoreError.self) { try ZipArchive(.init(bytes: bytes)) }
  }

  @Test("members that share their bytes are refused")
  func bombByOverlap() throws {
    var builder = StoreZipBuilder()
    builder.add("a", [UInt8](repeating: 1, count: 2000))
    builder.add("b", [1])
    var bytes = builder.finished()
    _ = try ZipArchive(.init(bytes: bytes))
    // The second entry gets the first one's place, sizes and checksum.
    let second = bytes.count - 22 - 47
    let first = second - 47
    for offset in Array(16..<28) + Array(42..<46) { bytes[second + offset] = bytes[first + offset] }
    #expect(throws: StoreError.self) { try ZipArchive(.init(bytes: bytes)) }
  }
}
