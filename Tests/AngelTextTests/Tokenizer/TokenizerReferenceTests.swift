import AngelCore
import AngelTesting
import AngelText
import FoundationEssentials
import Testing

@Suite("Tokenizers equal the reference library")
struct TokenizerReferenceTests {
  @Test("every line of the corpus has the reference's tokens", arguments: TokenizerGoldens.byteLevel)
  func corpus(_ name: String) throws {
    let hashes = try TokenizerCorpus.hashes("\(name).hashes")
    #expect(hashes.count >= 10_000)
    let differences = try TokenizerGoldens.differences(try TokenizerGoldens.tokenizer(name), hashes)
    #expect(differences == [], "\(differences.count) lines differ")
  }

  @Test("other kinds have the reference's tokens", arguments: TokenizerGoldens.kinds)
  func kinds(_ name: String) throws {
    let hashes = try TokenizerCorpus.hashes("\(name).hashes")
    let differences = try TokenizerGoldens.differences(try TokenizerGoldens.tokenizer(name), hashes, every: 4)
    #expect(differences == [], "\(differences.count) lines differ")
  }

  @Test("tokens become the reference's text, at once and one by one", arguments: TokenizerGoldens.kinds)
  func texts(_ name: String) throws {
    let tokenizer = try TokenizerGoldens.tokenizer(name)
    let differences = try TokenizerCorpus.differences(TokenizerCorpus.hashes("\(name).texts"), every: 7) { line in
      let tokens = try tokenizer.encode(line)
      var decoder = IncrementalDecoder(tokenizer)
      var parts = ""
      for token in tokens { parts += try decoder.append(token) }
      parts += decoder.finish()
      let text = try tokenizer.decode(tokens)
      #expect(text.utf8.elementsEqual(parts.utf8))
      return TokenizerCorpus.hash(text)
    }
    #expect(differences == [], "\(differences.count) lines differ")
  }

  /// Real vocabularies are too large to keep here: the variable names their `tokenizer.json`s, separated by colons, beside
  /// which `Scripts/goldens/tokenizer_corpus.py FILE…` wrote hashes.
  @Test(
    "whole vocabularies have the reference's tokens",
    .enabled(if: ProcessInfo.processInfo.environment["ANGEL_REAL_TOKENIZERS"] != nil))
  func real() throws {
    let files = try #require(ProcessInfo.processInfo.environment["ANGEL_REAL_TOKENIZERS"])
    for file in files.split(separator: ":").map(String.init) {
      let json = try JSONValue(parsing: TemporaryFolder.read(file))
      let tokenizer = try Tokenizer(TokenizerDescription(tokenizerJSON: json))
      let expected = try TemporaryFolder.read(file.replacing(".json", with: ".hashes"))
      let differences = try TokenizerGoldens.differences(tokenizer, TokenizerCorpus.hashes(expected))
      #expect(differences == [], "\(file): \(differences.count) lines differ")
    }
  }
}
