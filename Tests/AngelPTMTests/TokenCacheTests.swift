import AngelCore
import AngelData
import AngelTesting
import AngelText
import Glibc
import Testing

@testable import AngelPTM

@Suite("Kept tokens") struct TokenCacheTests {
  private let run: TinyRun
  private let data: String

  init() throws {
    run = TinyRun(try TemporaryFolder())
    data = try run.folder.write(#"{"text": "abc"}"#.utf8, to: "data.jsonl")
  }

  /// The path of what a cache keeps of the data, and whether it had to be filled.
  private func keep(
    _ description: TokenizerDescription = .bytes(), isWeighted: Bool = false, changes: [String] = [],
    removesOthers: Bool = false
  ) throws -> (path: String, isFilled: Bool) {
    let encoding = TrainingData.Encoding(tokenizer: try Tokenizer(description), template: nil, endTokens: [])
    var cache = TokenCache(try run.recipe(changes), encoding, holds: -1)
    var isFilled = false
    let (file, statistics) = try cache.tokens(of: [data], isWeighted: isWeighted) { writer in
      isFilled = true
      if isWeighted {
        var sample = TokenSample([1], weight: 0.5)
        sample.append([2, 3], weight: 1)
        try writer.append(sample)
      } else {
        try writer.append([7, 8, 9, 10])
        try writer.append([11])
      }
      var statistics = TrainingData.Statistics()
      statistics.rows = 4
      return statistics
    }
    #expect(statistics.rows == 4)
    if removesOthers { try cache.removeOthers() }
    return (file.path, isFilled)
  }

  @Test("the same data are found again, others are read")
  func hits() throws {
    let first = try keep()
    let second = try keep()
    #expect(first.isFilled && !second.isFilled && first.path == second.path)
    #expect(try keep(changes: ["data.text_key=body"]).isFilled)
    // Sequences of texts are cut from the file, those of conversations lie in it.
    #expect(try !keep(changes: ["sequence_length=16"]).isFilled)
    #expect(try keep(isWeighted: true).isFilled && !keep(isWeighted: true).isFilled)
    #expect(try keep(isWeighted: true, changes: ["sequence_length=16"]).isFilled)
  }

  @Test("a file of the same path, size and time with another content is read anew")
  func changedFile() throws {
    var times = [timespec(tv_sec: 1_000_000, tv_nsec: 0), timespec(tv_sec: 1_000_000, tv_nsec: 0)]
    #expect(utimensat(AT_FDCWD, data, &times, 0) == 0)
    #expect(try keep().isFilled && !keep().isFilled)
    // What `cp -p` leaves.
    _ = try run.folder.write(#"{"text": "xyz"}"#.utf8, to: "data.jsonl")
    #expect(utimensat(AT_FDCWD, data, &times, 0) == 0)
    #expect(try keep().isFilled)
  }

  @Test("tokenizers of the same spellings that cut or merge otherwise have other tokens")
  func tokenizers() throws {
    let description = TokenizerDescription.bytes()
    var changes: [TokenizerDescription] = []
    func change(_ edit: (inout TokenizerDescription) -> Void) {
      var copy = description
      edit(&copy)
      changes.append(copy)
    }
    change { $0.normalizers.append(.lowercase) }
    change { $0.preTokenizer.insert(.digits(individually: true), at: 0) }
    change { $0.endToken = 5 }
    change { $0.beginToken = 6 }
    change { $0.addedTokens.append(AddedToken(id: 65, content: $0.tokens.string(65), isSpecial: false)) }
    change {
      guard case .bytePairs(var rules) = $0.model else { return }
      rules.ignoresMerges.toggle()
      $0.model = .bytePairs(rules)
    }
    let digests = Set(([description] + changes).map(\.digest))
    #expect(digests.count == changes.count + 1)
    #expect(try keep(description).isFilled)
    for change in changes { #expect(try keep(change).isFilled) }
    #expect(try !keep(description).isFilled)
  }

  @Test("a file whose content is not what was written is made again", arguments: [false, true])
  func damagedContent(_ isWeighted: Bool) throws {
    let (path, _) = try keep(isWeighted: isWeighted)
    let whole = try TemporaryFolder.read(path)
    var bytes = whole
    // Still a token of the vocabulary.
    bytes[2] ^= 1
    let file = try AtomicFile(path: path)
    try file.write(bytes)
    try file.commit()
    #expect(throws: DataError.self) { try TokenFile(path: path).checkContent() }
    #expect(try keep(isWeighted: isWeighted).isFilled)
    #expect(try TemporaryFolder.read(path) == whole)
    try TokenFile(path: path).checkContent()
  }

  @Test("of the folder only what a cache has made is removed")
  func removal() throws {
    let old = try keep(changes: ["data.text_key=body"]).path
    let folder = FilePath.split(old).folder
    let left = ".\(String(repeating: "0a", count: 16)).tokens.77-1.partial"
    let others = ["mine.tokens", String(repeating: "x", count: 32) + ".tokens", ".mine.partial", "notes"]
    for name in others + [left] { _ = try run.folder.write("x".utf8, to: "run/tokens/" + name) }
    let kept = try keep(removesOthers: true).path
    #expect(FilePath.entries(of: folder) == (others + [FilePath.split(kept).name]).sorted())
  }
}
