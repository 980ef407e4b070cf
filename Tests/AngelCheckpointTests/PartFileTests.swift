import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

@Suite("Files that arrive in pieces")
struct PartFileTests {
  let folder: TemporaryFolder
  private let content = (0..<100).map { UInt8($0) }

  init() throws { folder = try TemporaryFolder() }

  private func open(_ identity: String = "v1", size: Int = 100) throws -> PartFile {
    try PartFile(folder("x.part"), identity: identity, size: size, pieceSize: 30)
  }

  private func write(_ part: PartFile, _ ticket: inout PartFile.Ticket, _ count: Int) throws -> Bool {
    let range = ticket.position..<(ticket.position + count)
    return try Array(content[range]).withUnsafeBytesThrowing { bytes throws(StoreError) in
      try part.write(bytes, &ticket)
    }
  }

  @Test("pieces are given out once, cover the file, and are continued after the process has ended")
  func continued() throws {
    do {
      let part = try open()
      var tickets = (0..<4).compactMap { _ in part.take() }
      #expect(tickets.map { $0.position..<$0.end } == [0..<30, 30..<60, 60..<90, 90..<100] && part.take() == nil)
      for (index, count) in [30, 7, 0, 10].enumerated() { #expect(try write(part, &tickets[index], count)) }
      #expect(part.missing == 53)
    }
    let part = try open()
    #expect(part.missing == 53)
    var tickets = (0..<4).compactMap { _ in part.take() }
    #expect(tickets.map { $0.position..<$0.end } == [37..<60, 60..<90])
    for index in 0..<2 { #expect(try write(part, &tickets[index], tickets[index].end - tickets[index].position)) }
    #expect(part.missing == 0 && part.take() == nil)
    #expect(try TemporaryFolder.read(part.path) == content)
  }

  @Test("a piece that is given back is given out again where it stopped")
  func givenBack() throws {
    let part = try open()
    var ticket = try #require(part.take())
    #expect(try write(part, &ticket, 12))
    part.giveBack(ticket)
    #expect(part.take()?.position == 12)
  }

  @Test("after a restart old tickets write nothing")
  func restarted() throws {
    let part = try open()
    var old = try #require(part.take())
    #expect(try write(part, &old, 12))
    #expect(try part.restart(pieceSize: nil, unlessVoid: old) == 12)
    #expect(try part.restart(pieceSize: nil, unlessVoid: old) == nil)
    #expect(part.isVoid(old) && part.missing == 100)
    #expect(try !write(part, &old, 5) && part.missing == 100)
    let whole = try #require(part.take())
    #expect(whole.isWhole && whole.position == 0 && whole.end == 100 && part.take() == nil)
  }

  @Test("another content, another size, or a journal that is damaged starts anew", arguments: 0..<7)
  func different(way: Int) throws {
    do {
      let part = try open()
      var ticket = try #require(part.take())
      #expect(try write(part, &ticket, 20))
    }
    let journal = try TemporaryFolder.read(folder("x.part.journal"))
    switch way {
    case 0: #expect(try open("v2").missing == 100)
    case 1: #expect(try open(size: 90).missing == 90)
    case 2:
      try folder.write(journal.prefix(100), to: "x.part.journal")
      #expect(try open().missing == 100)
    case 3:
      try folder.write([UInt8](repeating: 0xFF, count: 600), to: "x.part.journal")
      #expect(try open().missing == 100)
    case 4:
      // A count that is more than the piece has.
      try folder.write(journal.prefix(512) + [UInt8](repeating: 0xFF, count: 8), to: "x.part.journal")
      #expect(try open().missing == 70)
    case 5:
      try folder.write(content.prefix(99), to: "x.part")
      #expect(try open().missing == 100)
    default:
      // The last number was cut off: its piece starts anew.
      try folder.write(journal.dropLast(3), to: "x.part.journal")
      #expect(try open().missing == 100)
    }
  }

  @Test("an empty file is whole at once")
  func empty() throws {
    let part = try open(size: 0)
    #expect(part.missing == 0 && part.take() == nil)
  }

  @Test(
    "git's digests of blobs",
    arguments: [
      ("hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"), ("", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
    ])
  func gitBlob(text: String, digest: String) throws {
    let path = try folder.write(Array(text.utf8), to: "blob")
    let found = try ContentDigest.read(path, for: .gitBlob(""), interruption: Interruption()) { false }
    #expect(found.actual == .gitBlob(digest) && found.sha256 == SHA256.hexadecimal(of: Array(text.utf8)))
  }

  @Test(
    "SHA-1 of known texts, in one piece and in many",
    arguments: [
      ("abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"), ("a", 119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56"),
      ("a", 1_000_000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"), ("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ])
  func sha1(text: String, times: Int, digest: String) {
    let bytes = Array(String(repeating: text, count: times).utf8)
    for step in [1 << 20, 63, 4096] where bytes.count < 1000 || step > 64 {
      var hash = SHA1()
      for start in stride(from: 0, to: bytes.count, by: step) {
        Array(bytes[start..<min(bytes.count, start + step)]).withUnsafeBytes { hash.update($0) }
      }
      #expect(hash.hexadecimal() == digest)
    }
  }
}
