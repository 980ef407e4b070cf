import AngelCore
import AngelTesting
import Testing

@testable import AngelData

@Suite("Packed files and tables") struct PackedTests {
  private func unpacked(_ name: String, limit: Int = 1 << 20) throws -> [UInt8] {
    let bytes = try Goldens.bytes("packed/" + name)
    let format = try #require(PackedFormat.of(name)).format
    return try bytes.withUnsafeBytes { raw in try format.unpacked(raw, path: name, limit: limit) }
  }

  @Test("what zstd and gzip have packed comes back", arguments: ["low.jsonl.zst", "high.jsonl.zst", "rows.jsonl.gz"])
  func rows(_ name: String) throws {
    let want = try Goldens.bytes("packed/rows.jsonl")
    #expect(try unpacked(name) == want)
    let packed = try RecordFile(path: Goldens.path("packed/" + name))
    let open = try RecordFile(path: Goldens.path("packed/rows.jsonl"))
    #expect(packed.format == .jsonLines && packed.count == 150)
    #expect(try packed.row(at: 77) == open.row(at: 77) && packed.place(of: 77).hasSuffix("\(name):78"))
  }

  @Test("frames follow each other; repeats, and bytes that do not pack, come back")
  func frames() throws {
    let bytes = try unpacked("frames.zst")
    let rows = try Goldens.bytes("packed/rows.jsonl")
    #expect(bytes.count == 200_000 + 3000 + 7 + 5000)
    #expect(bytes.prefix(200_000).allSatisfy { $0 == UInt8(ascii: "a") })
    #expect(bytes.suffix(5000) == rows.prefix(5000))
    #expect(bytes.dropLast(5000).suffix(7) == [UInt8](repeating: UInt8(ascii: "b"), count: 7))
  }

  @Test("what unpacks to too much is refused before it is held")
  func limit() {
    let error = #expect(throws: DataError.self) { try unpacked("frames.zst", limit: 100_000) }
    #expect(error?.description.contains("unpacks to more than 97.7 KiB") == true)
    #expect(throws: DataError.self) { try unpacked("rows.jsonl.gz", limit: 1000) }
  }

  @Test("damaged files are refused or read, never a trap", arguments: ["low.jsonl.zst", "frames.zst", "rows.jsonl.gz"])
  func mutations(_ name: String) throws {
    let bytes = try Goldens.bytes("packed/" + name)
    let format = try #require(PackedFormat.of(name)).format
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
      do {
        _ = try damaged.withUnsafeBytes { try format.unpacked($0, path: name, limit: 1 << 19) }
      } catch { refused += 1 }
    }
    #expect(refused > cases / 2)
  }

  private func table(_ text: String, _ name: String = "rows.csv") throws -> RecordFile {
    let folder = try TemporaryFolder()
    return try withExtendedLifetime(folder) { try RecordFile(path: folder.write(text.utf8, to: name)) }
  }

  @Test("tables give a row an object: quotes, line ends and commas inside fields, any line end")
  func tables() throws {
    let text = "\u{FEFF}prompt,completion\r\n\"a, \"\"b\"\"\",c\r\n\r\n\"two\nlines\",\n last ,x"
    let file = try table(text)
    #expect(file.format == .delimited && file.count == 3)
    #expect(try file.row(at: 0) == ["prompt": "a, \"b\"", "completion": "c"])
    #expect(try file.row(at: 1) == ["prompt": "two\nlines", "completion": ""])
    #expect(try file.row(at: 2) == ["prompt": " last ", "completion": "x"])
    let inches = try table("text\tsource\nHe is 5\" tall\tx\nShe is 6\" tall\ty\n", "rows.tsv")
    #expect(inches.count == 2)
    #expect(try inches.text(at: 1, key: "text") == "She is 6\" tall")
    let tabs = try table("text\tsource\nhello, you\tx\n", "rows.tsv")
    #expect(try tabs.text(at: 0, key: "text") == "hello, you")
  }

  @Test(
    "tables that are none are refused by place and reason",
    arguments: [
      ("a,b\n1\n", "rows.csv:2: 1 fields, but the first row names 2 columns"),
      ("a,b\n\"x\"y,2\n", "rows.csv:2: text after the quote"), ("a,b\n\"x,2\n", "never closed"),
      ("a,a\n1,2\n", "two columns have the same name"), ("a,b\n", "it holds no rows"),
    ])
  func badTables(_ text: String, _ reason: String) throws {
    let error = #expect(throws: (any Error).self) { try table(text).row(at: 0) }
    #expect("\(error.map { "\($0)" } ?? "")".contains(reason), "\(error.map { "\($0)" } ?? "")")
  }
}
