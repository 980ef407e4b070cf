import AngelCore
import AngelTesting
import AngelText
import Testing

@testable import AngelCheckpoint

@Suite("SentencePiece models")
struct SentencePieceTests {
  static let names = ["pieces-bpe", "pieces-gemma", "pieces-unigram"]

  static func vocabulary(_ bytes: [UInt8]) throws -> SentencePieceVocabulary {
    try bytes.withUnsafeBytes { try SentencePieceFile.vocabulary(parsing: $0, path: "tokenizer.model") }
  }

  static func tokenizer(_ name: String) throws -> Tokenizer {
    let vocabulary = try vocabulary(Goldens.bytes("tokenizer/\(name).model"))
    return try Tokenizer(TokenizerDescription(vocabulary, addsBeginToken: false, addsEndToken: false))
  }

  @Test("every kind of tokenizer.model has sentencepiece's tokens", arguments: names)
  func tokens(_ name: String) throws {
    let tokenizer = try Self.tokenizer(name)
    let differences = try TokenizerCorpus.differences(TokenizerCorpus.hashes("\(name).hashes"), every: 4) { line in
      TokenizerCorpus.hash(try tokenizer.encode(line, parsingSpecialTokens: false))
    }
    #expect(differences == [], "\(differences.count) lines differ")
  }

  @Test("tokens become sentencepiece's text", arguments: names)
  func texts(_ name: String) throws {
    let tokenizer = try Self.tokenizer(name)
    let differences = try TokenizerCorpus.differences(TokenizerCorpus.hashes("\(name).texts"), every: 7) { line in
      TokenizerCorpus.hash(try tokenizer.decode(tokenizer.encode(line, parsingSpecialTokens: false)))
    }
    #expect(differences == [], "\(differences.count) lines differ")
  }

  @Test("a GGUF file with the same pieces gives the same tokenizer", arguments: names)
  func gguf(_ name: String) throws {
    let vocabulary = try Self.vocabulary(Goldens.bytes("tokenizer/\(name).model"))
    let header = try parseGGUF(Self.gguf(vocabulary).bytes)
    let read = try GGUFTokenizer.description(of: header, path: "x.gguf")
    let isUnigram = vocabulary.algorithm == .unigram
    let expected = try TokenizerDescription(vocabulary, addsBeginToken: !isUnigram, addsEndToken: isUnigram)
    #expect(read.tokens == expected.tokens && read.kinds == expected.kinds && read.model == expected.model)
    #expect(read.normalizers == expected.normalizers && read.decoder == expected.decoder)
    #expect(read.addedTokens == expected.addedTokens)
    #expect(read.prefix == expected.prefix && read.suffix == expected.suffix)
  }

  static func gguf(_ vocabulary: SentencePieceVocabulary) -> GGUFBuilder {
    var builder = GGUFBuilder()
    let tokens = vocabulary.tokens
    builder.add("tokenizer.ggml.model", vocabulary.algorithm == .bytePairs ? "llama" : "t5")
    builder.addStrings("tokenizer.ggml.tokens", (0..<tokens.count).map(tokens.string))
    builder.addArray(
      "tokenizer.ggml.scores", .float32, count: UInt64(tokens.count),
      vocabulary.scores.flatMap { GGUFBuilder.number($0.bitPattern) })
    builder.addArray(
      "tokenizer.ggml.token_type", .int32, count: UInt64(tokens.count),
      vocabulary.kinds.flatMap { GGUFBuilder.number(Int32($0.rawValue)) })
    builder.add("tokenizer.ggml.add_space_prefix", .bool, [vocabulary.addsSpacePrefix ? 1 : 0])
    builder.add("tokenizer.ggml.remove_extra_whitespaces", .bool, [vocabulary.removesExtraSpaces ? 1 : 0])
    let roles = [("bos", vocabulary.beginToken), ("eos", vocabulary.endToken), ("unknown", vocabulary.unknownToken)]
    for (role, token) in roles {
      if let token { builder.add("tokenizer.ggml.\(role)_token_id", UInt32(token)) }
    }
    if !vocabulary.characterMap.isEmpty {
      builder.addArray(
        "tokenizer.ggml.precompiled_charsmap", .uint8, count: UInt64(vocabulary.characterMap.count),
        vocabulary.characterMap)
    }
    return builder
  }

  @Test("a GGUF file's WordPiece vocabulary gives the tokens of BERT's own")
  func wordPiece() throws {
    let reference = try TokenizerDescription(tokenizerJSON: Goldens.json("tokenizer/bert.json"))
    var builder = GGUFBuilder()
    builder.add("tokenizer.ggml.model", "bert")
    let spellings = (0..<reference.tokens.count).map { token -> String in
      let spelling = reference.tokens.string(token)
      if token < 5 { return spelling }
      return spelling.hasPrefix("##") ? String(spelling.dropFirst(2)) : "\u{2581}\(spelling)"
    }
    builder.addStrings("tokenizer.ggml.tokens", spellings)
    builder.addArray(
      "tokenizer.ggml.token_type", .int32, count: UInt64(spellings.count),
      spellings.indices.flatMap { GGUFBuilder.number(Int32($0 < 5 ? 3 : 1)) })
    builder.add("tokenizer.ggml.unknown_token_id", 1)
    builder.add("tokenizer.ggml.cls_token_id", 2)
    builder.add("tokenizer.ggml.seperator_token_id", 3)
    let description = try GGUFTokenizer.description(of: parseGGUF(builder.bytes), path: "x.gguf")
    let tokenizer = try Tokenizer(description)
    let expected = try TokenizerCorpus.hashes("bert.hashes")
    let differences = try TokenizerCorpus.differences(expected, every: 8) { line in
      TokenizerCorpus.hash(
        try tokenizer.encode(line) + [-1]
          + tokenizer.encode(line, addingSpecialTokens: false, parsingSpecialTokens: false))
    }
    #expect(differences == [])
  }

  @Test("a folder with a tokenizer.model alone has a tokenizer, with the tokens its configuration adds")
  func folder() throws {
    let folder = try ScratchFolder()
    try folder.write("tokenizer.model", Goldens.bytes("tokenizer/pieces-bpe.model"))
    try folder.write(
      "tokenizer_config.json",
      #"""
      {"add_bos_token":true,"bos_token":"<s>","eos_token":"<|im_end|>",
      "added_tokens_decoder":{"9999":{"content":"<|im_end|>","special":true}}}
      """#)
    let vocabulary = try SentencePieceFile.vocabulary(path: "\(folder.path)/tokenizer.model")
    var description = try TokenizerDescription(
      vocabulary, tokenizerConfiguration: .object(JSONFile.object("\(folder.path)/tokenizer_config.json")))
    #expect(description.beginToken == 1 && description.endToken == 9_999 && description.prefix == [1])
    let tokenizer = try Tokenizer(description)
    #expect(try tokenizer.encode("<|im_end|>") == [1, 9_999])
    #expect(try tokenizer.decode(tokenizer.encode("the people <|im_end|>")) == "the people ")
    description = try TokenizerDescription(vocabulary, tokenizerConfiguration: nil)
    #expect(description.prefix == [1] && description.suffix.isEmpty)
  }

  @Test(
    "what is wrong is named",
    arguments: [
      ([0x0A, 0xFF, 0x01], "a field is not protobuf"), ([0x0A, 0x02, 0x18, 0x09], "piece 0 has the unknown type 9"),
      ([0x0A, 0x00], "piece 0 has no text"), ([0x12, 0x02, 0x18, 0x04], "SentencePiece model type 4"),
      ([0x12, 0x03, 0xC0, 0x01, 0x01], "treat_whitespace_as_suffix"), ([0x1A, 0x02, 0x28, 0x00], "escape_whitespaces"),
      ([0x0B], "a field is not protobuf"), ([0xFF], "a field is not protobuf"), ([0x00], "a field is not protobuf"),
    ] as [([UInt8], String)])
  func wrong(_ bytes: [UInt8], _ reason: String) {
    let error = checkpointError { _ = try Self.vocabulary(bytes) }
    #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
  }

  /// Anything but a trap is right.
  static func use(_ description: TokenizerDescription) throws {
    let tokenizer = try Tokenizer(description)
    for text in ["the  people \u{FB01}nd \u{200B}water", "e\u{301}水 <s> 12345\n\n"] {
      let tokens = try tokenizer.encode(text)
      #expect(tokens.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
      _ = try tokenizer.decode(tokens)
    }
  }

  @Test("damaged models give an error or a working tokenizer")
  func damagedModels() throws {
    // The pieces alone take the most bytes: without most of them the settings and the character map are hit, too.
    let small = try Self.small(Goldens.bytes("tokenizer/pieces-unigram.model"), pieces: 40)
    var accepted = 0
    for seed in 0..<Mutation.cases {
      let damaged = Mutation.of(small, seed)
      do {
        let vocabulary = try Self.vocabulary(damaged)
        try Self.use(try TokenizerDescription(vocabulary, addsBeginToken: true, addsEndToken: true))
        accepted += 1
      } catch let error as CheckpointError {
        #expect(!error.description.isEmpty)
      } catch let error as TokenizerError { #expect(!error.description.isEmpty) }
    }
    #expect(accepted > 0)
  }

  @Test("damaged GGUF vocabularies give an error or a working tokenizer")
  func damagedVocabularies() throws {
    for name in ["pieces-bpe", "pieces-unigram"] {
      let small = try Self.small(Goldens.bytes("tokenizer/\(name).model"), pieces: 40)
      let bytes = Self.gguf(try Self.vocabulary(small)).bytes
      var accepted = 0
      for seed in 0..<(Mutation.cases / 2) {
        do {
          let header = try parseGGUF(Mutation.of(bytes, seed))
          try Self.use(try GGUFTokenizer.description(of: header, path: "x.gguf"))
          accepted += 1
        } catch let error as CheckpointError {
          #expect(!error.description.isEmpty)
        } catch let error as TokenizerError { #expect(!error.description.isEmpty) }
      }
      #expect(accepted > 0)
    }
  }

  /// The model with its first pieces only.
  static func small(_ bytes: [UInt8], pieces: Int) throws -> [UInt8] {
    try bytes.withUnsafeBytes { raw in
      var reader = ProtobufReader(raw)
      var result: [UInt8] = []
      var count = 0
      while !reader.isAtEnd {
        let start = reader.position
        let next = reader.next()
        let field = try #require(next).field
        if field == 1 { count += 1 }
        if field != 1 || count <= pieces { result += raw[start..<reader.position] }
      }
      return result
    }
  }
}
