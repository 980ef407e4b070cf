/// The header of a page.
///
/// Source: parquet.thrift of apache/parquet-format 2.10, `PageHeader`.
struct ParquetPage {
  /// 0 data, 1 index, 2 dictionary, 3 data of version 2.
  private(set) var type = -1
  /// Bytes as they are used, and as they lie in the file.
  private(set) var size = 0
  private(set) var packedSize = 0
  /// Values, missing ones too.
  private(set) var valueCount = 0
  private(set) var encoding = 0
  private(set) var definitionEncoding = 3
  private(set) var repetitionEncoding = 3
  /// Of version 2: the bytes of the levels, which stand before the values and are never packed.
  private(set) var definitionBytes = 0
  private(set) var repetitionBytes = 0
  private(set) var isPacked = true
  /// The bytes of the header itself.
  private(set) var headerSize = 0

  init(_ bytes: [UInt8]) throws(ParquetError) {
    var reader = ThriftReader(bytes)
    var page = self
    try reader.fields { (reader, id, kind) throws(ParquetError) in
      switch (id, kind) {
      case (1, .int): page.type = try reader.integer()
      case (2, .int): page.size = try reader.integer()
      case (3, .int): page.packedSize = try reader.integer()
      case (5, .structure), (7, .structure), (8, .structure): try page.read(&reader, group: id)
      default: return false
      }
      return true
    }
    self = page
    headerSize = reader.position
    guard (0...ParquetCodec.pageLimit).contains(size), (0...ParquetCodec.pageLimit).contains(packedSize) else {
      throw .unread("a page of \(max(size, packedSize)) bytes", "write the file with pages of a megabyte")
    }
    guard (0...Int(Int32.max)).contains(valueCount) else { throw .damaged("a page of \(valueCount) values") }
    guard definitionBytes >= 0, repetitionBytes >= 0,
      definitionBytes <= size, repetitionBytes <= size - definitionBytes
    else { throw .damaged("a page's levels take more bytes than it has") }
  }

  /// The part of the header that belongs to the page's type.
  private mutating func read(_ reader: inout ThriftReader, group: Int) throws(ParquetError) {
    var page = self
    try reader.fields { (reader, id, kind) throws(ParquetError) in
      switch (group, id, kind) {
      case (_, 1, .int): page.valueCount = try reader.integer()
      case (5, 2, .int), (7, 2, .int), (8, 4, .int): page.encoding = try reader.integer()
      case (5, 3, .int): page.definitionEncoding = try reader.integer()
      case (5, 4, .int): page.repetitionEncoding = try reader.integer()
      case (8, 5, .int): page.definitionBytes = try reader.integer()
      case (8, 6, .int): page.repetitionBytes = try reader.integer()
      case (8, 7, .no): page.isPacked = false
      default: return false
      }
      return true
    }
    self = page
  }
}
