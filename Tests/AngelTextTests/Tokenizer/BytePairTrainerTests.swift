import AngelCore
import AngelTesting
import Testing

@testable import AngelText

@Suite("Learning a byte-level BPE") struct BytePairTrainerTests {
  private func train(
    _ texts: [String], vocabularySize: Int, pattern: String? = nil, specialTokens: [String] = []
  ) throws -> TokenizerDescription {
    var trainer = try BytePairTrainer(
      vocabularySize: vocabularySize, pattern: pattern, specialTokens: specialTokens)
    for text in texts { try trainer.add(text) }
    return try trainer.train()
  }

  @Test("tokens and merges are those of BpeTrainer, in its order", arguments: ["gpt2", "llama3"])
  func reference(_ name: String) throws {
    let want = try TokenizerDescription(tokenizerJSON: TokenizerGoldens.json("trained-" + name))
    let texts = try TokenizerCorpus.lines().map { String(decoding: UTF8Repair.repaired($0), as: UTF8.self) }
    let got = try train(
      texts, vocabularySize: want.tokens.count, pattern: name == "gpt2" ? nil : NamedPreTokenizer.llama3Expression,
      specialTokens: name == "gpt2" ? [] : ["<|im_start|>", "<|im_end|>"])
    #expect(got.tokens == want.tokens)
    guard case .bytePairs(let rules) = got.model, case .bytePairs(let wanted) = want.model else {
      Issue.record("no merges")
      return
    }
    #expect(rules.merges == wanted.merges)
    #expect(got.preTokenizer == want.preTokenizer)
    #expect(got.addedTokens.map(\.content) == want.addedTokens.map(\.content))
    // What is written is read back as the same tokens.
    let (one, two) = (try Tokenizer(got), try Tokenizer(want))
    for text in texts.prefix(500) { #expect(try one.encode(text) == two.encode(text)) }
  }

  @Test("the most frequent pair is first, among equals the one of older tokens, and nothing is merged that came once")
  func order() throws {
    // ab and cd three times each, then the two together; ef comes once.
    let description = try train(["abcd abcd abcd ef"], vocabularySize: 400)
    guard case .bytePairs(let rules) = description.model else { return }
    let merges = (0..<rules.merges.count).map { rules.merges.string($0) }
    #expect(merges == ["a b", "c d", "ab cd", "Ġ abcd"])
    #expect(description.tokens.count == 257 + 4 && description.endToken == 0)
    #expect(description.tokens.string(0) == BytePairTrainer.endToken)
  }

  @Test("what is trained twice is the same, and overlapping pairs come out as text")
  func repeats() throws {
    let texts = ["aaaa aaaaaaa banana bananas", "na na na aaa", "日本語 日本 日本語の"]
    let first = try train(texts, vocabularySize: 300)
    #expect(try first == train(texts, vocabularySize: 300))
    let tokenizer = try Tokenizer(first)
    for text in texts { #expect(try tokenizer.decode(tokenizer.encode(text)) == text) }
    #expect(try tokenizer.encode(texts[0]).count < texts[0].utf8.count / 2)
  }

  @Test("a long text is taken by stretches with the same result")
  func stretches() throws {
    let lines = (0..<60_000).map { "line \($0 % 977) has \($0 % 31) words and a number \($0 * 7919 % 100_003)\n" }
    let whole = lines.joined()
    #expect(whole.utf8.count > 2 << 20)
    let parts = stride(from: 0, to: lines.count, by: 10_000).map { lines[$0..<($0 + 10_000)].joined() }
    #expect(try train([whole + whole], vocabularySize: 500) == train(parts + parts, vocabularySize: 500))
  }

  @Test(
    "what cannot be learnt from is one line",
    arguments: [
      (256, [String](), "vocabulary size is not valid: 256; it must be at least 257"),
      (257, ["<a>"], "at least 258"), (300, ["<a>", "<a>"], "one is empty, or there twice"),
      (300, [], "corpus is not valid: there is no text"),
    ])
  func refusals(_ size: Int, _ special: [String], _ reason: String) throws {
    let error = #expect(throws: TokenizerError.self) { try train([], vocabularySize: size, specialTokens: special) }
    let text = error?.description ?? ""
    #expect(text.contains(reason) && !text.contains("\n"), "\(text)")
  }
}
