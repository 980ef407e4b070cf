import AngelCore
import AngelTesting
import Testing

@testable import AngelData

/// Files by pyarrow (Scripts/goldens/parquet_rows.py).
@Suite("Parquet") struct ParquetTests {
  private static func rows(_ path: String, keys: Set<String> = []) throws -> [JSONValue] {
    let reader = try RecordReader(path: path, keys: keys)
    var rows: [JSONValue] = []
    while let record = try reader.next() { rows.append(try record.row()) }
    return rows
  }

  private static func path(_ name: String) -> String { Goldens.path("parquet/\(name).parquet") }

  @Test("rows are those that pyarrow reads: pages of every kind, nulls, nested columns, many row groups")
  func rows() throws {
    let goldens = try Goldens.json("parquet/rows.json")
    let files = try #require(goldens["files"]?.object)
    #expect(files.members.count == 12)
    for member in files.members where member.key != "no-rows" {
      let want = try #require(goldens["rows"]?[member.value.string ?? ""]?.array)
      let got = try Self.rows(Self.path(member.key))
      #expect(got.count == want.count, "\(member.key)")
      for (index, (got, want)) in zip(got, want).enumerated() where got != want {
        // Whole numbers may stand as numbers with a fraction of zero.
        #expect(got.encoded() == want.encoded(), "\(member.key), row \(index)")
      }
    }
  }

  @Test("only the wanted columns are read, or all where none of them is there")
  func projection() throws {
    let rows = try Self.rows(Self.path("alpaca"), keys: ["instruction", "output", "text"])
    #expect(rows == [["instruction": "Add", "output": "3"], ["instruction": "Greet", "output": "Hello"]])
    let all = try Self.rows(Self.path("alpaca"), keys: ["text"])
    #expect(all[1].object?.members.map(\.key) == ["instruction", "output", "embedding"])
    let error = #expect(throws: DataError.self) {
      try RecordReader(path: Self.path("alpaca")).next()?.text(key: "text")
    }
    #expect(
      error?.description.hasSuffix(
        "alpaca.parquet, row 1: no text under 'text'; the row has 'instruction', 'input', 'output', 'embedding'")
        == true)
  }

  @Test("rows of messages and of ShareGPT are conversations")
  func conversations() throws {
    let rows = try Self.rows(Self.path("messages"), keys: ConversationLayout.keys)
    let first = try ConversationLayout.detect(rows[0], at: "x").conversation(rows[0], at: "x")
    #expect(first.messages.map(\.role) == ["user", "assistant", "tool", "assistant"])
    #expect(first.messages[1].content == .absent)
    #expect(
      first.messages[1].toolCalls == [
        ["type": "function", "function": ["name": "get_weather", "arguments": ["city": "Paris"]]]
      ])
    #expect(first.tools?.count == 1)
    let second = try ConversationLayout.detect(rows[1], at: "x").conversation(rows[1], at: "x")
    #expect(second == Conversation(messages: [.init(role: "user", "Hi"), .init(role: "assistant", "Hello!")]))
    let shared = try Self.rows(Self.path("sharegpt"))
    #expect(try ConversationLayout.detect(shared[0], at: "x") == .sharegpt)
  }

  @Test(
    "what is not read is refused by name",
    arguments: [
      ("lz4", "compression by lz4Raw is not read; write the file with snappy, zstd, gzip or none"),
      ("brotli", "compression by brotli is not read"), ("no-rows", "it holds no rows"),
    ])
  func refusals(_ name: String, _ reason: String) {
    let error = #expect(throws: DataError.self) { try Self.rows(Self.path(name)) }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test(
    "damaged files are refused or read, never a trap",
    arguments: ["plain", "dictionary-snappy", "gzip-v2", "zstd-v2", "delta", "old-lists", "messages"])
  func mutations(_ name: String) throws {
    let bytes = try Goldens.bytes("parquet/\(name).parquet")
    let folder = try TemporaryFolder()
    let generator = PhiloxGenerator(seed: 21, stream: UInt64(name.utf8.count))
    var drawn: UInt64 = 0
    func draw(below limit: Int) -> Int {
      drawn += 1
      return Int(generator.word(at: drawn)) % limit
    }
    var refused = 0
    let cases = Environment.current().runsAllTests ? 5_000 : 400
    for index in 0..<cases {
      var damaged = bytes
      // The footer is where the sizes are.
      let start = index % 2 == 0 ? 0 : max(0, damaged.count - 1500)
      for _ in 0...draw(below: 3) {
        damaged[start + draw(below: damaged.count - start)] = UInt8(draw(below: 256))
      }
      if index % 7 == 0 { damaged.removeSubrange(4..<(4 + draw(below: damaged.count - 12))) }
      let path = try folder.write(damaged, to: "damaged.parquet")
      do {
        let reader = try RecordReader(path: path)
        var count = 0
        while count < 1000, let record = try reader.next() {
          _ = try record.row()
          count += 1
        }
      } catch {
        #expect(!"\(error)".contains("\n"))
        refused += 1
      }
    }
    #expect(refused > cases / 4, "\(refused) of \(cases)")
  }

  @Test("snappy's pieces that reach into what they make, and those that lie")
  func snappy() throws {
    // "ab", then six bytes from two before.
    let packed: [UInt8] = [8, 1 << 2, 0x61, 0x62, 2 << 2 | 1, 2]
    #expect(try Snappy.unpacked(packed[...], size: 8) == Array("abababab".utf8))
    for (bytes, size) in [
      (packed, 9), ([8, 1 << 2, 0x61, 0x62, 2 << 2 | 1, 3], 8), ([8, 0xFC, 255, 255, 255, 255], 8), ([], 0),
    ] {
      #expect(throws: ParquetError.self) { try Snappy.unpacked(bytes[...], size: size) }
    }
    // 64 bytes at a time from two before: a copy of all that is there for each would take minutes.
    let pieces = 1 << 17
    var long: [UInt8] = [0x82, 0x80, 0x80, 0x04, 1 << 2, 0x61, 0x62]
    for _ in 0..<pieces { long += [63 << 2 | 2, 2, 0] }
    let text = try Snappy.unpacked(long[...], size: 2 + 64 * pieces)
    #expect(text.count == 2 + 64 * pieces && text.indices.allSatisfy { text[$0] == 0x61 + UInt8($0 % 2) })
    // Four gigabytes of nothing are not made.
    #expect(throws: ParquetError.self) { try Snappy.unpacked([0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0], size: 0xFFFF_FFFF) }
  }
}
