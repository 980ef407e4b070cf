import AngelCore
import AngelTesting
import AngelText
import Testing

@Suite("Tokenizers beyond byte-level BPE")
struct TokenizerKindTests {
  /// Small files with every kind of field, one a kind of model.
  static let files: [String] = [
    #"""
    {"added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":1,"content":"<s>","special":true},{"id":9,"content":"[I]","normalized":false}],
    "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"},
    {"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "},{"type":"Strip","strip_left":true,"strip_right":true}]},
    "pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false},
    "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}},
    "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
    "model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,
    "vocab":{"<unk>":0,"<s>":1,"▁":2,"a":3,"b":4,"ab":5,"▁ab":6,"<0x63>":7,"<0xC3>":8},"merges":["a b","▁ ab"]}}
    """#,
    #"""
    {"normalizer":{"type":"Sequence","normalizers":[{"type":"Precompiled","precompiled_charsmap":"CAAAAAAAAABhAGIA"},{"type":"NFKD"},{"type":"StripAccents"},{"type":"Lowercase"}]},
    "pre_tokenizer":{"type":"Metaspace","replacement":"▁","add_prefix_space":true},
    "decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
    "model":{"type":"Unigram","unk_id":0,"byte_fallback":false,"vocab":[["<unk>",0],["▁",-2.5],["a",-1],["b",-2],["ab",-1.5],["▁ab",-3]]}}
    """#,
    #"""
    {"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
    "pre_tokenizer":{"type":"BertPreTokenizer"},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
    "post_processor":{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",1]},
    "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":5,
    "vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3,"##b":4,"ab":5,"##c":6,".":7,"é":8,"e":9}}}
    """#,
  ]

  @Test("what each small file says is done")
  func small() throws {
    let tokenizers = try Self.files.map {
      try Tokenizer(TokenizerDescription(tokenizerJSON: JSONValue(parsing: Array($0.utf8))))
    }
    #expect(try tokenizers[0].encode("ab abc[I]ab") == [1, 6, 6, 7, 9, 6])
    #expect(try tokenizers[0].encode("ax") == [1, 2, 3, 0])
    #expect(try tokenizers[0].decode([1, 6, 6, 7, 9, 6]) == "ab abc[I] ab")
    #expect(try tokenizers[1].encode("ab xyÁ") == [5, 1, 0, 2])
    #expect(try tokenizers[1].decode([5, 1, 2]) == "ab a")
    #expect(try tokenizers[2].encode("Abc. É 水 abcbcb") == [1, 5, 6, 7, 9, 0, 0, 2])
    #expect(try tokenizers[2].decode([1, 5, 6, 7, 9]) == "[CLS] abc. e")
  }

  @Test("values in each other's places give an error or a working tokenizer")
  func values() throws {
    var random = SeededTestGenerator(state: 21)
    for file in Self.files {
      let json = try JSONValue(parsing: Array(file.utf8))
      let strange: [JSONValue] = [
        nil, true, -1, 0, 1_000_000, 1e300, "", " ", "▁", "\u{0}", "AAAA", "CAAAAAAAAAAAAAAA", "(", ".*", [], [[]], [:],
        ["type": "Sequence"], ["Regex": "a*"], ["String": ""], [["a", -1]], [["a", 1e308]],
      ]
      var values = strange
      TokenizerMutationTests.collect(json, into: &values)
      var accepted = 0
      for _ in 0..<(TokenizerMutationTests.cases / 3) {
        var target = Int.random(in: 0..<(values.count - strange.count), using: &random)
        let replacement = values[Int.random(in: 0..<values.count, using: &random)]
        do {
          try TokenizerMutationTests.use(TokenizerMutationTests.replacing(json, &target, by: replacement))
          accepted += 1
        } catch let error as TokenizerError { #expect(!"\(error)".isEmpty) }
      }
      #expect(accepted > 0)
    }
  }

  @Test(
    "a long text without spaces is no more work than other text", .timeLimit(.minutes(2)),
    arguments: ["llama", "gemma", "metaspace", "unigram-bytes", "bert"])
  func longTexts(_ name: String) throws {
    let tokenizer = try TokenizerGoldens.tokenizer(name)
    for text in ["a", "ab", "水", "\u{1F600}", " ", "▁"] {
      let tokens = try tokenizer.encode(String(repeating: text, count: 20_000))
      #expect(tokens.count <= 20_000 * text.utf8.count + 2)
    }
  }

  @Test("a long piece merges as a short one does, wherever it is cut")
  func cuts() throws {
    // One text of many lines is cut at spaces, and merged by a heap where there are none.
    let tokenizer = try TokenizerGoldens.tokenizer("gemma")
    for line in try TokenizerGoldens.corpus().prefix(400) {
      let text = String(decoding: line, as: UTF8.self)
      let tokens = try tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: false)
      #expect(
        try tokenizer.decode(tokens, skippingSpecialTokens: false).utf8.elementsEqual(text.utf8)
          || text.contains("\u{2581}"))
    }
  }

  @Test("byte tokens that are not UTF-8 become U+FFFD, characters among them stay")
  func brokenBytes() throws {
    let tokenizer = try TokenizerGoldens.tokenizer("llama")
    let bytes = try [0xF0, 0x9F, 0x98, 0x80, 0xC3, 0x41].map {
      try #require(tokenizer.token(named: "<0x\(String($0, radix: 16, uppercase: true))>"))
    }
    #expect(try tokenizer.decode(bytes) == "😀\u{FFFD}A")
    var decoder = IncrementalDecoder(tokenizer)
    #expect(try bytes.map { try decoder.append($0) } == ["", "", "", "😀", "", "\u{FFFD}A"])
  }
}
