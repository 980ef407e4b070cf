import AngelCore
import AngelText
import FoundationEssentials
import Testing

@Suite("Tokenizer files")
struct TokenizerDescriptionTests {
  /// A file as small as they come; `changes` replaces top-level fields.
  static func file(_ changes: [(String, JSONValue)] = [], model: [(String, JSONValue)] = []) -> JSONValue {
    var modelObject = JSONObject([
      ("type", "BPE"), ("vocab", ["a": 0, "b": 1, "ab": 2, "Ġ": 3]), ("merges", [["a", "b"]]),
    ])
    for (key, value) in model { modelObject[key] = value }
    var object = JSONObject([
      ("model", .object(modelObject)), ("pre_tokenizer", ["type": "ByteLevel", "add_prefix_space": false]),
    ])
    for (key, value) in changes { object[key] = value }
    return .object(object)
  }

  static func message(_ file: JSONValue, configuration: JSONValue? = nil) -> String {
    do {
      _ = try Tokenizer(TokenizerDescription(tokenizerJSON: file, tokenizerConfiguration: configuration))
      return "accepted"
    } catch { return "\(error)" }
  }

  static func splitting(_ expression: String) -> JSONValue {
    file([
      (
        "pre_tokenizer",
        [
          "type": "Sequence",
          "pretokenizers": [
            ["type": "Split", "pattern": ["Regex": .string(expression)], "behavior": "Isolated"],
            ["type": "ByteLevel", "use_regex": false],
          ],
        ]
      )
    ])
  }

  @Test("the smallest file works")
  func smallest() throws {
    let tokenizer = try Tokenizer(TokenizerDescription(tokenizerJSON: Self.file()))
    #expect(try tokenizer.encode("ab a") == [2, 3, 0])
    #expect(tokenizer.vocabularySize == 4)
  }

  @Test(
    "what is not supported is refused by name",
    arguments: [
      (file(model: [("type", "WordLevel")]), "model 'WordLevel' is not supported"),
      (file(model: [("end_of_word_suffix", "</w>")]), "end_of_word_suffix '</w>'"),
      (file(model: [("dropout", 0.1)]), "dropout '0.1'"),
      (
        file([("pre_tokenizer", ["type": "CharDelimiterSplit"])]), "pre-tokenizer 'CharDelimiterSplit' is not supported"
      ),
      (file([("pre_tokenizer", ["type": "Metaspace", "prepend_scheme": "last"])]), "prepend_scheme 'last'"),
      (file([("normalizer", ["type": "Nmt"])]), "normalizer 'Nmt' is not supported"),
      (file([("decoder", ["type": "CTC"])]), "decoder 'CTC' is not supported"),
      (
        file([("decoder", ["type": "Sequence", "decoders": [["type": "Fuse"], ["type": "ByteFallback"]]])]),
        "decoder after Fuse 'byteFallback' is not supported"
      ),
      (
        file([("decoder", ["type": "Sequence", "decoders": [["type": "Fuse"], ["type": "ByteLevel"]]])]),
        "decoder 'ByteLevel with other steps' is not supported"
      ),
      (file([("post_processor", ["type": "Other"])]), "post-processor 'Other' is not supported"),
      (splitting("[a&&b]"), "'&&'"), (splitting("a[b[c]]"), "a class inside a class"),
      (splitting(#"\p{N}{1,3}+"#), "possessive"), (splitting("("), "pattern '(' failed"),
    ])
  func refused(_ file: JSONValue, _ reason: String) {
    #expect(Self.message(file).contains(reason), "\(Self.message(file))")
  }

  @Test(
    "what is wrong is named",
    arguments: [
      (file([("model", nil)]), "no model"), (file(model: [("vocab", ["a": 0, "b": 0])]), "id 0 of another token"),
      (file(model: [("vocab", ["a": 99_999_999])]), "no id in"), (file(model: [("vocab", ["a": -1])]), "no id in"),
      (file(model: [("vocab", [:])]), "no vocabulary"), (file(model: [("merges", ["a b c"])]), "merge 0"),
      (file(model: [("merges", [["a", "z"]])]), "merge 0"), (file(model: [("merges", [["b", "a"]])]), "merge 0"),
      (file([("added_tokens", [["id": 0, "content": "x"]])]), "belongs to token 'a'"),
      (file([("added_tokens", [["id": 2_000_000_000, "content": "x"]])]), "id 2000000000 is not in"),
      (
        file([("post_processor", ["type": "TemplateProcessing", "single": [["SpecialToken": ["id": "<s>"]]]])]),
        "special token '<s>' has no ids"
      ),
    ])
  func wrong(_ file: JSONValue, _ reason: String) {
    #expect(Self.message(file).contains(reason), "\(Self.message(file))")
  }

  @Test("an unknown pre-tokenizer name is refused with the names that are known")
  func unknownName() {
    #expect(throws: TokenizerError.self) { try NamedPreTokenizer(named: "falcon") }
    do { _ = try NamedPreTokenizer(named: "falcon") } catch {
      #expect(
        "\(error)".contains("supported: gpt-2, smollm, llama-bpe, qwen2, hunyuan, hunyuan-dense, tekken, default"))
    }
  }

  @Test("roles come from tokenizer_config.json, and make a template where the file has none")
  func configuration() throws {
    let file = Self.file([
      ("added_tokens", [["id": 4, "content": "<s>", "special": true], ["id": 5, "content": "</s>", "special": true]])
    ])
    let configuration: JSONValue = [
      "bos_token": "<s>", "eos_token": ["content": "</s>"], "pad_token": nil, "add_bos_token": true,
    ]
    let tokenizer = try Tokenizer(
      TokenizerDescription(tokenizerJSON: file, tokenizerConfiguration: configuration))
    #expect(tokenizer.beginToken == 4 && tokenizer.endToken == 5)
    #expect(try tokenizer.encode("ab</s>") == [4, 2, 5])
    #expect(try tokenizer.encode("ab", addingSpecialTokens: false) == [2])
    #expect(Self.message(file, configuration: ["bos_token": "<x>"]).contains("'<x>' is not in the vocabulary"))
  }

  @Test(
    "a hostile pattern gives up with an error that names it", .timeLimit(.minutes(1)),
    arguments: [
      ("(a+)+[!?]", 200_000, "match limit exceeded"), ("(?:a|b)*[!?]", 80_000, "takes too long"),
      ("(?:a|b)*[!?]", 200_000, "stack"),
    ])
  func hostile(_ pattern: String, _ count: Int, _ reason: String) throws {
    let tokenizer = try Tokenizer(TokenizerDescription(tokenizerJSON: Self.splitting(pattern)))
    do {
      _ = try tokenizer.encode(String(repeating: "a", count: count) + "b")
      Issue.record("the pattern came to an end")
    } catch {
      #expect("\(error)".contains("pattern '\(pattern)' failed") && "\(error)".contains(reason), "\(error)")
    }
    // The next text is not harmed.
    #expect(try tokenizer.encode("b b") == [1, 3, 1])
  }

  @Test("matches far apart are found across search windows, in text of several bytes a character")
  func windows() throws {
    let tokenizer = try Tokenizer(TokenizerDescription(tokenizerJSON: Self.splitting("a")))
    for distance in [85, 86, 127, 128, 129, 255, 256, 257, 700] {
      let text = String(repeating: "水", count: distance) + "ab" + String(repeating: "é", count: distance) + "ab"
      // Letters outside this vocabulary are dropped; a missed cut would leave a and b to merge.
      #expect(try tokenizer.encode(text) == [0, 1, 0, 1])
    }
  }
}
