import AngelCore
import AngelTesting
import AngelText

/// The tokenizers that `Scripts/goldens/tokenizer_corpus.py` and `tokenizer_kinds.py` wrote.
enum TokenizerGoldens {
  static let byteLevel = ["gpt2", "smollm", "llama3", "qwen2", "steps"]
  /// The kinds beyond byte-level byte-pair encodings; for these there are texts, too.
  static let kinds = [
    "llama", "mistral", "gemma", "metaspace", "unigram", "unigram-bytes", "bert", "bert-cased",
  ]

  static func json(_ name: String) throws -> JSONValue { try Goldens.json("tokenizer/\(name).json") }

  static func tokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer(TokenizerDescription(tokenizerJSON: json(name)))
  }

  static func corpus() throws -> [[UInt8]] { try TokenizerCorpus.lines() }

  /// What the script hashes for one line.
  static func answer(_ tokenizer: Tokenizer, _ line: [UInt8]) throws -> [Int32] {
    try tokenizer.encode(line) + [-1]
      + tokenizer.encode(line, addingSpecialTokens: false, parsingSpecialTokens: false)
  }

  /// The numbers of the lines where `tokenizer` and the reference differ.
  static func differences(_ tokenizer: Tokenizer, _ hashes: [UInt32], every step: Int = 1) throws -> [Int] {
    try TokenizerCorpus.differences(hashes, every: step) { TokenizerCorpus.hash(try answer(tokenizer, $0)) }
  }
}
