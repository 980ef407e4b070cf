import AngelCore
import AngelText
import FoundationEssentials
import Testing

/// The corpus and answers that `Scripts/goldens/tokenizer_corpus.py` wrote.
enum TokenizerGoldens {
  static let names = ["gpt2", "smollm", "llama3", "qwen2", "steps"]

  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Goldens/tokenizer")

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appending(path: name)))
  }

  static func json(_ name: String) throws -> JSONValue { try JSONValue(parsing: bytes("\(name).json")) }

  static func tokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer(TokenizerDescription(tokenizerJSON: json(name)))
  }

  /// The corpus: lines of bytes, not all of them UTF-8.
  static func corpus() throws -> [[UInt8]] {
    let bytes = try bytes("corpus.bin")
    var lines: [[UInt8]] = []
    var position = 0
    while position + 2 <= bytes.count {
      let count = Int(bytes[position]) | Int(bytes[position + 1]) << 8
      position += 2
      lines.append(Array(bytes[position..<(position + count)]))
      position += count
    }
    return lines
  }

  static func hashes(_ bytes: [UInt8]) -> [UInt32] {
    stride(from: 0, to: bytes.count, by: 4).map { start in
      (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
    }
  }

  /// FNV-1a over little-endian ids.
  static func hash(_ tokens: [Int32]) -> UInt32 {
    var result: UInt32 = 0x811C_9DC5
    for token in tokens {
      for shift in stride(from: 0, to: 32, by: 8) {
        result = (result ^ (UInt32(bitPattern: token) >> UInt32(shift) & 0xFF)) &* 0x0100_0193
      }
    }
    return result
  }

  /// What the script hashes for one line.
  static func answer(_ tokenizer: Tokenizer, _ line: [UInt8]) throws -> [Int32] {
    try tokenizer.encode(line) + [-1]
      + tokenizer.encode(line, addingSpecialTokens: false, parsingSpecialTokens: false)
  }

  /// The numbers of the lines where `tokenizer` and the reference differ.
  static func differences(_ tokenizer: Tokenizer, _ hashes: [UInt32]) throws -> [Int] {
    let lines = try corpus()
    #expect(lines.count == hashes.count)
    var result: [Int] = []
    for (index, line) in lines.enumerated() where hash(try answer(tokenizer, line)) != hashes[index] {
      result.append(index)
    }
    return result
  }
}
