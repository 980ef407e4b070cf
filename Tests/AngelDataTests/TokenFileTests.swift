import AngelCore
import AngelTesting
import Testing

@testable import AngelData

@Suite("Token files") struct TokenFileTests {
  private func make(_ folder: TemporaryFolder, vocabularySize: Int) throws -> String {
    let path = folder("tokens")
    var writer = try TokenFileWriter(path: path, vocabularySize: vocabularySize, tokenizerDigest: "d")
    try writer.append([1, 2, 3])
    try writer.append([])
    try writer.append([65_535, 4])
    try writer.finish()
    return path
  }

  @Test("documents read back as they were written, in two or four bytes a token", arguments: [65_536, 70_000])
  func roundTrip(_ vocabularySize: Int) throws {
    let folder = try TemporaryFolder()
    let file = try TokenFile(path: make(folder, vocabularySize: vocabularySize))
    #expect(file.header.tokenBytes == (vocabularySize == 65_536 ? 2 : 4))
    #expect(file.header.tokenCount == 5 && file.header.documentCount == 3 && file.header.tokenizerDigest == "d")
    #expect((0..<3).map { file.tokens(file.document($0)) } == [[1, 2, 3], [], [65_535, 4]])
    #expect(folder.files() == ["tokens"])
    let stream = TokenStream([file, file])
    #expect(stream.count == 10 && stream[3..<7] == [65_535, 4, 1, 2])
  }

  @Test("a damaged token file is refused or read, never a trap")
  func mutations() throws {
    let folder = try TemporaryFolder()
    let sound = try TemporaryFolder.read(make(folder, vocabularySize: 100_000))
    let generator = PhiloxGenerator(seed: 3)
    for round in 0..<500 {
      var bytes = sound
      for change in 0..<2 {
        let words = generator.block(at: UInt64(2 * round + change))
        bytes[Int(words[0]) % bytes.count] = UInt8(truncatingIfNeeded: words[1])
      }
      if round % 5 == 0 { bytes.removeLast(Int(generator.word(at: UInt64(1 << 20 + round))) % bytes.count) }
      let path = try folder.write(bytes, to: "damaged")
      do {
        let file = try TokenFile(path: path)
        for document in 0..<file.header.documentCount { _ = file.tokens(file.document(document)) }
      } catch { #expect(!error.description.isEmpty) }
    }
  }
}
