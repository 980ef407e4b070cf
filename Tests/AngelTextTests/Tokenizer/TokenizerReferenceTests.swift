import AngelCore
import AngelText
import FoundationEssentials
import Testing

@Suite("Tokenizers equal the reference library")
struct TokenizerReferenceTests {
  @Test("every line of the corpus has the reference's tokens", arguments: TokenizerGoldens.names)
  func corpus(_ name: String) throws {
    let hashes = TokenizerGoldens.hashes(try TokenizerGoldens.bytes("\(name).hashes"))
    #expect(hashes.count >= 10_000)
    let differences = try TokenizerGoldens.differences(try TokenizerGoldens.tokenizer(name), hashes)
    #expect(differences == [], "\(differences.count) lines differ")
  }

  /// The real vocabulary is too large to keep here; the variable names its tokenizer.json, hashes beside it.
  @Test(
    "SmolLM2's whole vocabulary has the reference's tokens",
    .enabled(if: ProcessInfo.processInfo.environment["ANGEL_SMOLLM2_TOKENIZER"] != nil))
  func smollm2() throws {
    let file = URL(filePath: try #require(ProcessInfo.processInfo.environment["ANGEL_SMOLLM2_TOKENIZER"]))
    let json = try JSONValue(parsing: [UInt8](Data(contentsOf: file)))
    let tokenizer = try Tokenizer(TokenizerDescription(tokenizerJSON: json))
    #expect(tokenizer.vocabularySize == 49_152)
    let answers = file.deletingPathExtension().appendingPathExtension("hashes")
    let hashes = TokenizerGoldens.hashes([UInt8](try Data(contentsOf: answers)))
    #expect(try TokenizerGoldens.differences(tokenizer, hashes) == [])
  }
}
