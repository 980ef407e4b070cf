import Glibc

/// The corpus and answers that `Scripts/goldens/tokenizer_corpus.py` and `tokenizer_kinds.py` wrote.
public enum TokenizerCorpus {
  /// The lines of the corpus: bytes, not all of them UTF-8.
  public static func lines() throws -> [[UInt8]] {
    let bytes = try Goldens.bytes("tokenizer/corpus.bin")
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

  /// A file of one hash per line of the corpus.
  public static func hashes(_ name: String) throws -> [UInt32] { hashes(try Goldens.bytes("tokenizer/\(name)")) }

  /// Little-endian hashes.
  public static func hashes(_ bytes: [UInt8]) -> [UInt32] {
    stride(from: 0, to: bytes.count, by: 4).map { start in
      (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
    }
  }

  /// FNV-1a over little-endian ids.
  public static func hash(_ tokens: [Int32]) -> UInt32 {
    tokens.reduce(offset) { result, token in
      stride(from: 0, to: 32, by: 8).reduce(result) {
        ($0 ^ (UInt32(bitPattern: token) >> UInt32($1) & 0xFF)) &* prime
      }
    }
  }

  /// FNV-1a over the bytes of a text.
  public static func hash(_ text: String) -> UInt32 { text.utf8.reduce(offset) { ($0 ^ UInt32($1)) &* prime } }

  private static let offset: UInt32 = 0x811C_9DC5
  private static let prime: UInt32 = 0x0100_0193

  /// The numbers of the lines where `answer` has another hash than expected. Of a corpus of 10,400 lines every
  /// `step`-th is asked, all with `ANGEL_TEST_ALL=1`.
  public static func differences(
    _ expected: [UInt32], every step: Int, _ answer: ([UInt8]) throws -> UInt32
  ) throws -> [Int] {
    let lines = try lines()
    guard lines.count == expected.count else { return [-1] }
    let isThorough = getenv("ANGEL_TEST_ALL").map { String(cString: $0) } == "1"
    var result: [Int] = []
    for index in stride(from: 0, to: lines.count, by: isThorough ? 1 : step)
    where try answer(lines[index]) != expected[index] {
      result.append(index)
    }
    return result
  }
}
