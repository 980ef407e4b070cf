import AngelCore

/// One column of a row group, value after value: each with its levels, missing ones too.
///
/// A page at a time is held, and the column's dictionary.
final class ParquetColumn {
  /// The levels of the value at hand; a new row begins at repetition 0.
  private(set) var definition = 0
  private(set) var repetition = 0
  /// Whether all values have been taken.
  private(set) var isAtEnd = false

  private let column: ParquetSchema.Column
  private let codec: ParquetCodec
  private let file: MappedFile
  private let budget: ParquetBudget
  /// Of the budget, what the page at hand takes.
  private var pageBytes = 0
  private var position: Int
  private let end: Int
  /// Values after the one at hand: of the column, and of the page.
  private var left: Int
  private var inPage = 0
  private var dictionary: [JSONValue]?
  private var definitions: HybridDecoder?
  private var repetitions: HybridDecoder?
  private var values: ParquetValues?

  /// What an entry of a dictionary takes beside its bytes: a value, and the head of a text that lies by itself.
  private static let entryBytes = MemoryLayout<JSONValue>.stride + 32

  /// Headers are read from a window of this size: a page's statistics hold its least and greatest text.
  private static let headerLimits = [1 << 10, 1 << 16, 1 << 24]

  init(
    _ column: ParquetSchema.Column, _ chunk: ParquetMetadata.Chunk, in file: MappedFile, _ budget: ParquetBudget
  ) throws(ParquetError) {
    guard !chunk.isElsewhere else { throw .unread("a column in another file", "write one file") }
    self.column = column
    self.file = file
    self.budget = budget
    codec = try ParquetCodec(number: chunk.codec)
    // Some writers name a dictionary at 0 where there is none.
    let start = min(chunk.dictionaryOffset.flatMap { $0 > 0 ? $0 : nil } ?? chunk.dataOffset, chunk.dataOffset)
    guard start >= 4, chunk.byteCount >= 0, start <= file.byteCount, chunk.byteCount <= file.byteCount - start,
      chunk.valueCount >= 0
    else {
      throw .damaged("a column of \(chunk.byteCount) bytes at \(start) in a file of \(file.byteCount)")
    }
    (position, end, left) = (start, start + chunk.byteCount, chunk.valueCount)
    try advance()
  }

  /// The value at hand, which must be there (`definition` at its highest), and on to the next.
  func take() throws(ParquetError) -> JSONValue {
    guard let value = try values?.next() else { throw .damaged("a value before its page") }
    try advance()
    return value
  }

  /// Leaves out the missing value at hand.
  func advance() throws(ParquetError) {
    guard !isAtEnd else { throw .damaged("a column has fewer values than there are rows") }
    guard left > 0 else {
      (isAtEnd, definition, repetition) = (true, 0, 0)
      return
    }
    while inPage == 0 { try beginPage() }
    left -= 1
    inPage -= 1
    repetition = try (repetitions?.next()).map { Int($0) } ?? 0
    // Without levels nothing is ever missing.
    definition = try (definitions?.next()).map { Int($0) } ?? column.definition
    guard definition <= column.definition, repetition <= column.repetition else {
      throw .damaged("levels that the column does not have")
    }
  }

  // MARK: Pages

  private func beginPage() throws(ParquetError) {
    let (page, packed) = try page()
    switch page.type {
    case 2:
      guard dictionary == nil else { throw .damaged("two dictionaries in a column") }
      try budget.take(page.size + page.valueCount * Self.entryBytes)
      dictionary = try values(of: page, codec.unpacked(packed, size: page.size))
    case 0:
      try hold(page.size)
      let bytes = try codec.unpacked(packed, size: page.size)
      var start = 0
      guard column.repetition == 0 || page.repetitionEncoding == 3,
        column.definition == 0 || page.definitionEncoding == 3
      else { throw .unread("the oldest encoding of levels", "write the file anew") }
      repetitions = try Self.levels(bytes, &start, limit: column.repetition)
      definitions = try Self.levels(bytes, &start, limit: column.definition)
      try begin(page, bytes, start)
    case 3:
      let levels = page.repetitionBytes + page.definitionBytes
      guard levels <= packed.count else { throw .damaged("a page's levels take more bytes than it has") }
      try hold(page.size)
      let values = page.isPacked ? codec : .none
      let bytes =
        try Array(packed.prefix(levels)) + values.unpacked(packed.dropFirst(levels), size: page.size - levels)
      let middle = page.repetitionBytes
      repetitions = try Self.levels(bytes, 0..<middle, limit: column.repetition)
      definitions = try Self.levels(bytes, middle..<levels, limit: column.definition)
      try begin(page, bytes, levels)
    // Indices and what is to come are passed over.
    default: break
    }
  }

  /// Lets the page at hand go and takes `count` bytes for the next.
  private func hold(_ count: Int) throws(ParquetError) {
    values = nil
    budget.giveBack(pageBytes)
    pageBytes = 0
    try budget.take(count)
    pageBytes = count
  }

  private func begin(_ page: ParquetPage, _ bytes: [UInt8], _ start: Int) throws(ParquetError) {
    guard page.valueCount <= left else { throw .damaged("its pages have more values than the column") }
    inPage = page.valueCount
    values = try ParquetValues(
      bytes, from: start, column: column, encoding: page.encoding, dictionary: dictionary)
  }

  /// The next page's header and its bytes as they lie in the file.
  private func page() throws(ParquetError) -> (ParquetPage, ArraySlice<UInt8>) {
    guard position < end else { throw .damaged("its pages have fewer values than the column") }
    var page: ParquetPage?
    for limit in Self.headerLimits where page == nil {
      let window = bytes(position..<min(end, position + limit))
      do throws(ParquetError) { page = try ParquetPage(window) } catch {
        guard limit < Self.headerLimits[2], position + limit < end else { throw error }
      }
    }
    guard let page else { throw .damaged("a page without a header") }
    let start = position + page.headerSize
    guard page.packedSize <= end - start else { throw .damaged("a page reaches beyond its column") }
    position = start + page.packedSize
    return (page, bytes(start..<position)[...])
  }

  private func bytes(_ range: Range<Int>) -> [UInt8] {
    withExtendedLifetime(file) { Array(file.unsafeBytes[range]) }
  }

  /// All entries of a dictionary.
  private func values(of page: ParquetPage, _ bytes: [UInt8]) throws(ParquetError) -> [JSONValue] {
    guard page.encoding == 0 || page.encoding == 2, column.type != 0 else {
      throw .damaged("a dictionary of the encoding \(page.encoding)")
    }
    var source = try ParquetValues(bytes, from: 0, column: column, encoding: 0, dictionary: nil)
    var entries: [JSONValue] = []
    for _ in 0..<page.valueCount { entries.append(try source.next()) }
    return entries
  }

  /// Levels with their length before them; nil where there is only one.
  private static func levels(
    _ bytes: [UInt8], _ start: inout Int, limit: Int
  ) throws(ParquetError) -> HybridDecoder? {
    guard limit > 0 else { return nil }
    guard bytes.count - start >= 4 else { throw .damaged("a page is cut off") }
    let count = ParquetValues.number(bytes, at: start, bytes: 4)
    guard count <= UInt64(bytes.count - start - 4) else {
      throw .damaged("a page's levels take more bytes than it has")
    }
    let range = (start + 4)..<(start + 4 + Int(count))
    start = range.upperBound
    return try levels(bytes, range, limit: limit)
  }

  private static func levels(
    _ bytes: [UInt8], _ range: Range<Int>, limit: Int
  ) throws(ParquetError) -> HybridDecoder? {
    guard limit > 0 else { return nil }
    return try HybridDecoder(bytes, range, width: Int.bitWidth - limit.leadingZeroBitCount)
  }
}
