import AngelCore
import AngelTesting
import Testing

@testable import AngelData

@Suite("Packed files and tables") struct PackedTests {
  /// All of a stream, read in pieces of an odd size; at most `limit` bytes.
  private func unpacked(_ path: String, limit: Int = 1 << 20) throws -> [UInt8] {
    let stream = try ByteStream(path: path)
    var output: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1999)
    while output.count < limit {
      let count = try piece.withUnsafeMutableBytes { try stream.read(into: $0) }
      guard count > 0 else { break }
      output += piece[..<count]
    }
    return output
  }

  private func records(_ path: String) throws -> [Record] {
    let reader = try RecordReader(path: path)
    var rows: [Record] = []
    while let record = try reader.next() { rows.append(record) }
    return rows
  }

  @Test("what zstd and gzip have packed comes back", arguments: ["low.jsonl.zst", "high.jsonl.zst", "rows.jsonl.gz"])
  func rows(_ name: String) throws {
    #expect(try unpacked(Goldens.path("packed/" + name)) == Goldens.bytes("packed/rows.jsonl"))
    let packed = try records(Goldens.path("packed/" + name))
    let open = try records(Goldens.path("packed/rows.jsonl"))
    #expect(packed.count == 150)
    #expect(try packed[77].row() == open[77].row() && packed[77].place.hasSuffix("\(name):78"))
  }

  @Test("frames follow each other; repeats, and bytes that do not pack, come back")
  func frames() throws {
    let bytes = try unpacked(Goldens.path("packed/frames.zst"))
    let rows = try Goldens.bytes("packed/rows.jsonl")
    #expect(bytes.count == 200_000 + 3000 + 7 + 5000)
    #expect(bytes.prefix(200_000).allSatisfy { $0 == UInt8(ascii: "a") })
    #expect(bytes.suffix(5000) == rows.prefix(5000))
    #expect(bytes.dropLast(5000).suffix(7) == [UInt8](repeating: UInt8(ascii: "b"), count: 7))
  }

  @Test("a page of columns unpacks to the size it says or is refused, and no more is made")
  func exactSizes() throws {
    let rows = try Goldens.bytes("packed/rows.jsonl")
    let packed: [(any Unpacker, String)] = [
      (try GzipUnpacker(), "rows.jsonl.gz"), (try ZstandardUnpacker(), "low.jsonl.zst"),
    ]
    for (unpacker, name) in packed {
      #expect(try unpacker.unpacked(Goldens.bytes("packed/" + name)[...], size: rows.count) == rows)
    }
    for size in [0, rows.count - 1, rows.count + 1] {
      #expect(throws: PackedError.self) {
        try GzipUnpacker().unpacked(Goldens.bytes("packed/rows.jsonl.gz")[...], size: size)
      }
      #expect(throws: PackedError.self) {
        try ZstandardUnpacker().unpacked(Goldens.bytes("packed/low.jsonl.zst")[...], size: size)
      }
    }
  }

  @Test("damaged files are refused or read, never a trap", arguments: ["low.jsonl.zst", "frames.zst", "rows.jsonl.gz"])
  func mutations(_ name: String) throws {
    let bytes = try Goldens.bytes("packed/" + name)
    let folder = try TemporaryFolder()
    let generator = PhiloxGenerator(seed: 9, stream: 0)
    var drawn: UInt64 = 0
    func draw(below limit: Int) -> Int {
      drawn += 1
      return Int(generator.word(at: drawn)) % limit
    }
    let cases = Environment.current().runsAllTests ? 20_000 : 2000
    var refused = 0
    for index in 0..<cases {
      var damaged = bytes
      for _ in 0...draw(below: 3) { damaged[draw(below: damaged.count)] = UInt8(draw(below: 256)) }
      if index % 5 == 0 { damaged.removeLast(draw(below: damaged.count)) }
      let path = try folder.write(damaged, to: name)
      do { _ = try unpacked(path, limit: 1 << 19) } catch { refused += 1 }
    }
    #expect(refused > cases / 2)
  }

  private func table(_ text: String, _ name: String = "rows.csv") throws -> [Record] {
    let folder = try TemporaryFolder()
    return try records(folder.write(text.utf8, to: name))
  }

  @Test("tables give a row an object: quotes, line ends and commas inside fields, any line end")
  func tables() throws {
    let text = "\u{FEFF}prompt,completion\r\n\"a, \"\"b\"\"\",c\r\n\r\n\"two\nlines\",\n last ,x"
    let rows = try table(text)
    #expect(rows.count == 3)
    #expect(try rows[0].row() == ["prompt": "a, \"b\"", "completion": "c"])
    #expect(try rows[1].row() == ["prompt": "two\nlines", "completion": ""])
    #expect(try rows[2].row() == ["prompt": " last ", "completion": "x"])
    #expect(rows[2].place.hasSuffix("rows.csv:6"))
    let inches = try table("text\tsource\nHe is 5\" tall\tx\nShe is 6\" tall\ty\n", "rows.tsv")
    #expect(inches.count == 2)
    #expect(try inches[1].text(key: "text") == "She is 6\" tall")
    let tabs = try table("text\tsource\nhello, you\tx\n\t\n", "rows.tsv")
    #expect(try tabs[0].text(key: "text") == "hello, you" && tabs[1].text(key: "text").isEmpty)
  }

  @Test(
    "tables that are none are refused by place and reason",
    arguments: [
      ("a,b\n1\n", "rows.csv:2: 1 fields, but the first row names 2 columns"),
      ("a,b\n\"x\"y,2\n", "rows.csv:2: text after the quote"),
      ("a,b\n1,2\n\"x,2\ny\n", "rows.csv:3: a quote that opens a field is never closed"),
      ("a,a\n1,2\n", "two columns have the same name"), ("a,b\n", "it holds no rows"),
    ])
  func badTables(_ text: String, _ reason: String) throws {
    let error = #expect(throws: (any Error).self) { try table(text)[0].row() }
    #expect("\(error.map { "\($0)" } ?? "")".contains(reason), "\(error.map { "\($0)" } ?? "")")
  }
}
