import AngelCore
import AngelTesting
import Testing

@testable import AngelData

@Suite("Token files") struct TokenFileTests {
  private func make(_ folder: TemporaryFolder, vocabularySize: Int) throws -> String {
    let path = folder("tokens")
    var writer = TokenFileWriter(path: path, vocabularySize: vocabularySize, tokenizerDigest: "d", holds: -1)
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
    #expect(try (0..<3).map { try file.tokens(file.document($0)) } == [[1, 2, 3], [], [65_535, 4]])
    #expect(folder.files() == ["tokens"])
    let stream = TokenStream([file, file], name: "t")
    #expect(try stream.count == 10 && stream[3..<7] == [65_535, 4, 1, 2])
  }

  private func samples(_ holds: Int, _ path: String) throws -> TokenFile {
    var writer = TokenFileWriter(
      path: path, vocabularySize: 300, tokenizerDigest: "d", isWeighted: true, holds: holds)
    var sample = TokenSample([1, 2], weight: 0)
    sample.append([299], weight: 0.25)
    try writer.append(sample)
    try writer.append(TokenSample([7, 8]))
    return try writer.finish(about: ["rows": 2])
  }

  @Test("samples keep their weights, in memory while they are few and in a file when they are not")
  func weighted() throws {
    let folder = try TemporaryFolder()
    let held = try samples(1 << 20, folder("held.tokens"))
    #expect(folder.files() == [])
    let mapped = try samples(10, folder("mapped.tokens"))
    #expect(folder.files() == ["mapped.tokens"])
    for file in [held, mapped] {
      #expect(try file.sample(0).tokens == [1, 2, 299] && file.sample(0).weights == [0, 0, 0.25])
      #expect(try file.sample(1) == TokenSample([7, 8]))
      #expect(file.header.about == ["rows": 2] && file.header.contentDigest == held.header.contentDigest)
    }
    let (some, others) = TokenSamples(held).split(at: 1, seed: 1, stream: 2)
    #expect(some.count == 1 && others.count == 1)
    #expect(try Set([some[0], others[0]]) == Set([held.sample(0), held.sample(1)]))
  }

  @Test("a token that is not in the vocabulary is found when it is read")
  func wrongToken() throws {
    let folder = try TemporaryFolder()
    var bytes = try TemporaryFolder.read(make(folder, vocabularySize: 70_000))
    bytes[3] = 0xFF
    let file = try TokenFile(path: folder.write(bytes, to: "wrong"))
    #expect(throws: DataError.self) { try file.tokens(0..<1) }
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
        for document in 0..<file.header.documentCount { _ = try file.tokens(file.document(document)) }
      } catch { #expect(!error.description.isEmpty) }
    }
  }
}
