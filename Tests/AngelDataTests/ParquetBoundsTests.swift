import AngelCore
import AngelTesting
import Testing

@testable import AngelData

@Suite("Bounds of Parquet") struct ParquetBoundsTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func rows(_ bytes: [UInt8]) throws -> [JSONValue] {
    let reader = try RecordReader(path: folder.write(bytes, to: "x.parquet"))
    var rows: [JSONValue] = []
    while let record = try reader.next() { rows.append(try record.row()) }
    return rows
  }

  private func problem(_ bytes: [UInt8]) -> String {
    let error = #expect(throws: DataError.self) { try rows(bytes) }
    return error?.description ?? ""
  }

  @Test("values that are all missing are packed to nothing by some writers", arguments: [0, 1, 2, 6])
  func nullsAlone(_ codec: Int) throws {
    let levels = ParquetBytes.run(3, of: 0)
    func file(_ size: Int) -> [UInt8] {
      let page = ParquetBytes.page2(count: 3, definitions: levels, size: size, [])
      return ParquetBytes.file([.init(repetition: 1, codec: codec, valueCount: 3, pages: [page])], rows: 3)
    }
    #expect(try rows(file(0)) == [[:], [:], [:]])
    #expect(problem(file(1)).contains("it is not sound Parquet"))
  }

  @Test("numbers of lengths that are not there take no time")
  func lengths() {
    let body = ParquetBytes.series(1 << 60, from: 0, step: 0, blocks: 50_000)
    let page = ParquetBytes.page(count: 3, encoding: 6, body)
    #expect(problem(ParquetBytes.file([.init(valueCount: 3, pages: [page])], rows: 3)).contains("cut off"))
  }

  @Test("texts that begin with those before them end where a page's bytes would")
  func prefixes() throws {
    func file(_ count: Int) -> [UInt8] {
      let body =
        ParquetBytes.series(count, from: 0, step: 100) + ParquetBytes.series(count, from: 100, step: 0)
        + [UInt8](repeating: UInt8(ascii: "a"), count: 100 * count)
      return ParquetBytes.file(
        [.init(valueCount: count, pages: [ParquetBytes.page(count: count, encoding: 7, body)])], rows: count)
    }
    #expect(try rows(file(3)).map { $0["text"]?.string?.utf8.count } == [100, 200, 300])
    #expect(problem(file(2400)).contains("a page whose texts take more than 256.0 MiB is not read"))
  }

  @Test("the columns of a row group share one budget, from which a page is given back when the next one comes")
  func budget() throws {
    /// The values that are read of a column beside one that holds 30 of 100 bytes.
    func values(_ valueCount: Int, _ pages: [[UInt8]]) throws -> Int {
      let path = try folder.write(ParquetBytes.file([.init(valueCount: valueCount, pages: pages)], rows: 1), to: "x")
      let file = try MappedFile(path: path)
      let chunk = ParquetMetadata.Chunk(
        valueCount: valueCount, byteCount: pages.reduce(0) { $0 + $1.count }, dataOffset: 4)
      let budget = ParquetBudget(100)
      try budget.take(30)
      let column = try ParquetColumn(
        .init(type: 6, isUnsigned: false, definition: 0, repetition: 0), chunk, in: file, budget)
      var count = 0
      while !column.isAtEnd {
        _ = try column.take()
        count += 1
      }
      return count
    }
    func pages(_ sizes: [Int]) throws -> Int {
      try values(
        sizes.count,
        sizes.map { ParquetBytes.page(count: 1, ParquetBytes.text([UInt8](repeating: 0x61, count: $0 - 4))) })
    }
    #expect(try pages([60, 70, 50]) == 3)
    let error = #expect(throws: ParquetError.self) { try pages([60, 71]) }
    #expect(error?.reason.contains("take more than 100 B together is not read; write the file with pages") == true)
    // A dictionary's entries take more than their bytes: empty texts have four.
    func entries(_ count: Int) -> [UInt8] {
      ParquetBytes.page(type: 2, count: count, [UInt8](repeating: 0, count: 4 * count))
    }
    let page = ParquetBytes.page(count: 1, encoding: 8, [1] + ParquetBytes.run(1, of: 0))
    #expect(try values(1, [entries(1), page]) == 1)
    #expect(throws: ParquetError.self) { try values(1, [entries(7), page]) }
  }

  @Test("a row holds no more than 256 MiB, however few bytes say it")
  func rowLimit() throws {
    func file(_ count: Int) -> [UInt8] {
      let dictionary = ParquetBytes.page(type: 2, count: 1, ParquetBytes.text([UInt8](repeating: 0x61, count: 100_000)))
      let levels =
        ParquetBytes.levels(ParquetBytes.run(1, of: 0) + ParquetBytes.run(count - 1, of: 1))
        + ParquetBytes.levels(ParquetBytes.run(count, of: 1))
      let page = ParquetBytes.page(count: count, encoding: 8, levels + [1] + ParquetBytes.run(count, of: 0))
      return ParquetBytes.file([.init(repetition: 2, valueCount: count, pages: [dictionary, page])], rows: 1)
    }
    let row = try rows(file(3))
    #expect(row[0]["text"]?.array?.count == 3)
    #expect(problem(file(3000)).contains("a row of more than 256.0 MiB is not read; leave its column out"))
  }

  @Test("what a row counts is what it holds")
  func rowBytes() throws {
    let pages = [
      ParquetBytes.page(count: 2, ParquetBytes.text([0x61]) + ParquetBytes.text([UInt8](repeating: 0x61, count: 5000)))
    ]
    let reader = try RecordReader(
      path: folder.write(ParquetBytes.file([.init(valueCount: 2, pages: pages)], rows: 2), to: "x.parquet"))
    #expect(try (0..<2).map { _ in try reader.next()?.byteCount } == [64 + 1, 64 + 5000])
  }

  @Test("a footer with a million columns in row groups is refused")
  func chunks() {
    let group = [UInt8](repeating: 0, count: 16_000)
    // A list of empty structures.
    let groups = [[UInt8]](repeating: [0x19, 0xFC, 0x80, 0x7D] + group + [0], count: 66)
    let bytes = ParquetBytes.closed(Array("PAR1".utf8), [.init(valueCount: 0, pages: [])], groups: groups)
    #expect(problem(bytes).contains("a list of 16000, where 8576 is the most"))
  }
}
