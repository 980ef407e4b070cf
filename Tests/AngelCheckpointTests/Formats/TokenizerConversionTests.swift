import AngelCore
import AngelTesting
import AngelText
import Testing

@testable import AngelCheckpoint

@Suite("Tokenizers written in the other layout")
struct TokenizerConversionTests {
  private let folder: ScratchFolder

  init() throws { folder = try ScratchFolder() }

  private static func json(_ name: String) throws -> TokenizerDescription {
    try TokenizerDescription(tokenizerJSON: Goldens.json("tokenizer/\(name).json"))
  }

  private static func pieces(_ name: String, addsBegin: Bool = false) throws -> TokenizerDescription {
    let vocabulary = try SentencePieceTests.vocabulary(Goldens.bytes("tokenizer/\(name).model"))
    return try TokenizerDescription(vocabulary, addsBeginToken: addsBegin, addsEndToken: false)
  }

  /// What a GGUF file with the description's tables reads as; `rows` is the model's embedding.
  private func throughGGUF(_ description: TokenizerDescription, rows: Int? = nil) throws -> TokenizerDescription {
    let last = description.addedTokens.map { Int($0.id) + 1 }.max() ?? 0
    let metadata = try GGUFTokenizer.metadata(
      of: description, vocabularySize: rows ?? max(description.tokens.count, last), endTokens: [], chatTemplate: nil,
      path: "tokenizer.json")
    let path = folder.path + "/x.gguf"
    let writer = try GGUFWriter(path: path, metadata: metadata, tensors: [])
    try writer.finish()
    return try GGUFTokenizer.description(of: GGUFFile(path: path).header, path: path)
  }

  private func throughJSON(_ description: TokenizerDescription) throws -> TokenizerDescription {
    try TokenizerDescription(tokenizerJSON: JSONValue(parsing: Array(description.tokenizerJSON().encoded().utf8)))
  }

  /// The numbers of the corpus' lines where two tokenizers differ, every `step`-th asked.
  private func differences(
    _ a: TokenizerDescription, _ b: TokenizerDescription, parsingSpecialTokens: Bool = true,
    comparesTexts: Bool = true, every step: Int = 8
  ) throws -> [Int] {
    let (one, other) = (try Tokenizer(a), try Tokenizer(b))
    let lines = try TokenizerCorpus.lines()
    return try stride(from: 0, to: lines.count, by: step).filter { index in
      let tokens = try one.encode(lines[index], parsingSpecialTokens: parsingSpecialTokens)
      let same = try other.encode(lines[index], parsingSpecialTokens: parsingSpecialTokens) == tokens
      return try !same || comparesTexts && one.decode(tokens) != other.decode(tokens)
    }
  }

  // MARK: tokenizer.json

  @Test(
    "a tokenizer.json that is read and written has the reference's tokens",
    arguments: [
      "gpt2", "smollm", "llama3", "qwen2", "steps", "llama", "mistral", "gemma", "metaspace", "unigram",
      "unigram-bytes",
      "bert", "bert-cased",
    ])
  func rewritten(_ name: String) throws {
    let tokenizer = try Tokenizer(throughJSON(Self.json(name)))
    let differences = try TokenizerCorpus.differences(TokenizerCorpus.hashes("\(name).hashes"), every: 16) { line in
      TokenizerCorpus.hash(
        try tokenizer.encode(line) + [-1]
          + tokenizer.encode(line, addingSpecialTokens: false, parsingSpecialTokens: false))
    }
    #expect(differences == [], "\(differences.count) lines differ")
  }

  @Test(
    "a tokenizer.json made of a SentencePiece model has sentencepiece's tokens",
    arguments: ["pieces-bpe", "pieces-gemma"])
  func ofPieces(_ name: String) throws {
    let tokenizer = try Tokenizer(throughJSON(Self.pieces(name)))
    let differences = try TokenizerCorpus.differences(TokenizerCorpus.hashes("\(name).hashes"), every: 8) { line in
      TokenizerCorpus.hash(try tokenizer.encode(line, parsingSpecialTokens: false))
    }
    #expect(differences == [], "\(differences.count) lines differ")
  }

  @Test("a tokenizer.json made of a unigram model has its tokens, but for ties that 64-bit sums break otherwise")
  func ofUnigramPieces() throws {
    let original = try Self.pieces("pieces-unigram")
    let (sums, tokenizer) = (original.unigramScores, try Tokenizer(throughJSON(original)))
    let pieces = try Tokenizer(original)
    let lines = try TokenizerCorpus.lines()
    let hashes = try TokenizerCorpus.hashes("pieces-unigram.hashes")
    let differences = try TokenizerCorpus.differences(hashes, every: 8) { line in
      TokenizerCorpus.hash(try tokenizer.encode(line, parsingSpecialTokens: false))
    }
    for line in differences {
      let tokens = try [tokenizer, pieces].map { try $0.encode(lines[line], parsingSpecialTokens: false) }
      let totals = tokens.map { $0.reduce(0) { $0 + sums[Int($1)] } }
      #expect(abs(totals[0] - totals[1]) < 1e-3, "line \(line)")
    }
    // Of all 10,400 lines the reference library has 11: rows of one character, which pieces share out in any order.
    #expect(differences.count <= 11, "\(differences.count) lines differ")
    let back = try SentencePieceVocabulary(throughJSON(original))
    #expect(try back.characterMap == SentencePieceVocabulary(original).characterMap && back.removesExtraSpaces)
  }

  @Test("a SentencePiece model's merges have its scores again", arguments: ["pieces-bpe", "pieces-gemma"])
  func scores(_ name: String) throws {
    let original = try Self.pieces(name, addsBegin: true)
    let back = try throughGGUF(throughJSON(original))
    guard case .scoredPairs = back.model else {
      Issue.record("it is \(back.model)")
      return
    }
    #expect(back.tokens == original.tokens && back.prefix == original.prefix)
    #expect(try differences(original, back, parsingSpecialTokens: false) == [])
  }

  // MARK: GGUF

  @Test(
    "GGUF tables say the same as a SentencePiece model", arguments: ["pieces-bpe", "pieces-gemma", "pieces-unigram"])
  func tables(_ name: String) throws {
    let original = try Self.pieces(name, addsBegin: true)
    let back = try throughGGUF(original, rows: original.tokens.count + 3)
    #expect(back.normalizers == original.normalizers && back.decoder == original.decoder)
    #expect(back.prefix == original.prefix && back.addedTokens == original.addedTokens)
    #expect(
      back.tokens.count == original.tokens.count + 3 && back.tokens.string(original.tokens.count).hasPrefix("[PAD"))
    #expect(try differences(original, back) == [])
    #expect(try differences(original, back, parsingSpecialTokens: false) == [])
  }

  @Test("GGUF tables say the same as a WordPiece vocabulary", arguments: ["bert", "bert-cased"])
  func wordPiece(_ name: String) throws {
    let original = try Self.json(name)
    // GGUF has no word for texts whose punctuation keeps its spaces, as the cased vocabulary's decoder says.
    #expect(try differences(original, throughGGUF(original), comparesTexts: name == "bert") == [])
  }

  @Test("merges that no SentencePiece model has are refused by name", arguments: ["llama", "gemma"])
  func foreignMerges(_ name: String) throws {
    let refusal = #expect(throws: CheckpointError.self) { try throughGGUF(Self.json(name)) }
    let text = "\(try #require(refusal))"
    #expect(text.contains("SentencePiece model") && text.contains("keep the safetensors layout"), "\(text)")
  }

  @Test("turn ends of the chat formats end an answer where the vocabulary has them as special tokens")
  func turnEnds() throws {
    var description = TokenizerDescription.bytes()
    for (id, text, isSpecial) in [(257, "<end_of_turn>", true), (258, "</s>", false), (259, "<|eos|>", true)] {
      description.addedTokens.append(AddedToken(id: Int32(id), content: text, isSpecial: isSpecial))
    }
    let metadata = try GGUFTokenizer.metadata(
      of: description, vocabularySize: 260, endTokens: [], chatTemplate: nil, path: "x.gguf")
    let writer = try GGUFWriter(
      path: folder.path + "/x.gguf", metadata: [("general.architecture", .string("llama"))] + metadata, tensors: [])
    try writer.finish()
    let checkpoint = try Checkpoint.open(folder.path + "/x.gguf")
    #expect(try checkpoint.endTokens(for: Tokenizer(checkpoint.tokenizer())) == [256, 257, 259])
  }
}

extension TokenizerDescription {
  fileprivate var unigramScores: [Double] { if case .unigram(let rules) = model { rules.scores } else { [] } }
}
