import AngelCore
import AngelData
import AngelTesting
import AngelText
import Testing

@testable import AngelPTM

@Suite("Pretraining data") struct PretrainingDataTests {
  @Test("a run from a file of tokens is the run from its text")
  func tokenFiles() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["tokenizer=byte", "training.steps=3", "data.end_texts=false"]))
    let tokenizer = try Tokenizer(.bytes())
    var writer = TokenFileWriter(
      path: run.folder("data.tokens"), vocabularySize: tokenizer.vocabularySize, tokenizerDigest: tokenizer.digest,
      holds: -1)
    try writer.append(tokenizer.encode(TinyRun.text, addingSpecialTokens: false, parsingSpecialTokens: false))
    try writer.finish()
    let mapped = TinyRun(run.folder)
    let changes = ["training.steps=3", "data.train=[\(run.folder("data.tokens"))]", "output.folder=\(run.folder("b"))"]
    try mapped.execute(try run.recipe(changes + ["tokenizer=byte"]))
    #expect(mapped.losses == run.losses && mapped.validations == run.validations)

    let error = #expect(throws: DataError.self) {
      try mapped.execute(try run.recipe(changes + ["architecture.width=16", "tokenizer=\(try other(run))"]))
    }
    #expect(error?.description.contains("its tokens are of another tokenizer") == true)
  }

  @Test("a tokenizer learnt from the recipe's texts is saved with the model, and a run taken up learns the same")
  func learntTokenizer() throws {
    let changes = ["tokenizer={train: byte-bpe, vocabulary_size: 290}"]
    let whole = TinyRun(try TemporaryFolder())
    try whole.execute(try whole.recipe(changes))
    let path = try #require(whole.finishedPath)
    let description = try TokenizerDescription(
      tokenizerJSON: JSONValue(parsing: TemporaryFolder.read(path + "/tokenizer.json")))
    #expect(description.tokens.count == 290)
    let tokens = try Tokenizer(description).encode("to be or not to be")
    #expect(tokens.count < 12)
    #expect(try TemporaryFolder.read(path + "/config.json").contains("\"vocab_size\": 290"))

    let parted = TinyRun(try TemporaryFolder())
    #expect(throws: Interrupted.self) { try parted.execute(try parted.recipe(changes), stopsAfter: 5) }
    try parted.execute(try parted.recipe(changes), resumes: true)
    #expect(parted.losses == whole.losses)
    #expect(try parted.weights() == whole.weights())
  }

  @Test("characters and merges are learnt from the texts of rows, not from their JSON")
  func rowsOfText() throws {
    let run = TinyRun(try TemporaryFolder())
    let rows = String(repeating: #"{"text": "abba \u00e9t\u00e9"}"# + "\n", count: 30)
    let data = try run.folder.write(rows.utf8, to: "rows.jsonl")
    let changes = ["data.train=[\(data)]", "data.validation_ratio=0", "training.steps=1"]
    try run.execute(try run.recipe(changes))
    let path = try #require(run.finishedPath)
    // a, b, t, a space, and é with its two bytes.
    #expect(try TemporaryFolder.read(path + "/config.json").contains("\"vocab_size\": 7"))
  }

  @Test(
    "tokenizers that cannot be learnt are refused in one line each",
    arguments: [
      (
        "tokenizer={train: byte-bpe, vocabulary_size: 256}",
        "tokenizer.vocabulary_size is 256, expected a whole number from 257"
      ),
      ("tokenizer={train: wordpiece}", "tokenizer.train is 'wordpiece', expected one of byte-bpe"),
      ("tokenizer={vocab_size: 300}", "unknown key 'tokenizer.vocab_size'; did you mean tokenizer.vocabulary_size?"),
      ("tokenizer=[a]", "tokenizer is a list of 1, expected a word or a group of keys"),
      ("tokenizer={vocabulary_size: 258, special_tokens: [<a>, <b>]}", "bytes and special tokens alone are 259"),
      ("tokenizer={pattern: '('}", "tokenizer pattern '(' failed"),
    ])
  func tokenizerRefusals(_ change: String, _ reason: String) throws {
    let run = TinyRun(try TemporaryFolder())
    let error = #expect(throws: (any Error).self) { try run.execute(try run.recipe([change])) }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains(reason) && !text.contains("\n"), "\(text)")
  }

  /// A model with another tokenizer.
  private func other(_ run: TinyRun) throws -> String {
    let other = TinyRun(run.folder)
    try other.execute(try run.recipe(["training.steps=1", "output.folder=\(run.folder("other"))"]))
    return try #require(other.finishedPath)
  }

  @Test(
    "data that cannot be trained on are refused in one line each",
    arguments: [
      ("a.txt", "", "a.txt': it holds no rows; there is nothing to train on"),
      ("a.txt", "short", "tokens are too few for one sequence of 32 and its next token"),
      ("a.jsonl", "{\"content\": \"hi\"}", "a.jsonl:1: no text under 'text'; the row has 'content'"),
      ("a.jsonl", "{\"text\": \"hi\"}\n{\"text\": }", "a.jsonl:2:10: not JSON"),
      ("a.json", "{\"text\": \"hi\"}", "a .json file of rows is one array"),
      ("a.parquet", "text", "a.parquet': it is not sound Parquet: it does not end as one"),
      ("a.txt", "a", "tokens are too few for one sequence of 32 and its next token"),
      ("a.tokens", "nothing", "is not a sound token file"),
    ])
  func refusals(_ name: String, _ content: String, _ reason: String) throws {
    let run = TinyRun(try TemporaryFolder())
    let path = try run.folder.write(content.utf8, to: name)
    let recipe = try run.recipe(["tokenizer=byte", "data.train=[\(path)]", "data.validation_ratio=0"])
    let error = #expect(throws: (any Error).self) { try run.execute(recipe) }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains(reason) && !text.contains("\n"), "\(text)")
    #expect(FilePath.kind(run.folder("run")) == nil)
  }

  @Test("a missing file is named")
  func missing() throws {
    let run = TinyRun(try TemporaryFolder())
    let recipe = try run.recipe(["data.train=[\(run.folder("none.txt"))]"])
    let error = #expect(throws: (any Error).self) { try run.execute(recipe) }
    #expect(error.map { "\($0)" }?.contains("none.txt") == true)
  }
}
