/// A Parquet file's footer: the columns and where the row groups lie.
///
/// Source: parquet.thrift of apache/parquet-format 2.10, whose field numbers stand beside the names here.
struct ParquetMetadata {
  /// A node of the schema, in depth-first order.
  struct Element {
    var name = ""
    /// The physical type of a leaf: 0 boolean, 1 int32, 2 int64, 3 int96, 4 float, 5 double, 6 bytes, 7 fixed bytes.
    var type: Int?
    /// 0 required, 1 optional, 2 repeated.
    var repetition = 0
    var childCount = 0
    /// The older annotation: 0 UTF-8, 1 map, 2 map's entry, 3 list, 5 decimal, …
    var convertedType: Int?
    /// The number of the newer annotation: 2 map, 3 list, 5 decimal, …
    var logicalType: Int?
    /// Whether an annotated integer is unsigned.
    var isUnsigned = false
  }

  /// One column's pages within a row group.
  struct Chunk {
    var codec = 0
    var valueCount = 0
    var byteCount = 0
    var dataOffset = 0
    var dictionaryOffset: Int?
    var isElsewhere = false
  }

  struct RowGroup {
    var chunks: [Chunk] = []
    var rowCount = 0
  }

  private(set) var schema: [Element] = []
  private(set) var rowGroups: [RowGroup] = []

  private static let columnLimit = 16_384
  private static let groupLimit = 1_000_000
  /// Of all row groups together: a byte of the footer can say one, which takes fifty here.
  private static let chunkLimit = 1 << 20

  init(_ footer: [UInt8]) throws(ParquetError) {
    var reader = ThriftReader(footer)
    var (schema, groups): ([Element], [RowGroup]) = ([], [])
    var chunksLeft = Self.chunkLimit
    try reader.fields { (reader, id, kind) throws(ParquetError) in
      switch (id, kind) {
      case (2, .list): schema = try reader.list(limit: Self.columnLimit, Self.element)
      case (4, .list):
        groups = try reader.list(limit: Self.groupLimit) { (reader) throws(ParquetError) in
          let group = try Self.rowGroup(&reader, chunkLimit: min(Self.columnLimit, chunksLeft))
          chunksLeft -= group.chunks.count
          return group
        }
      case (8, .structure): throw .unread("an encrypted file", "decrypt it first")
      default: return false
      }
      return true
    }
    (self.schema, rowGroups) = (schema, groups)
  }

  private static func element(_ reader: inout ThriftReader) throws(ParquetError) -> Element {
    var element = Element()
    try reader.fields { (reader, id, kind) throws(ParquetError) in
      switch (id, kind) {
      case (1, .int): element.type = try reader.integer()
      case (3, .int): element.repetition = try reader.integer()
      case (4, .binary): element.name = try reader.text()
      case (5, .int): element.childCount = try reader.integer()
      case (6, .int):
        let type = try reader.integer()
        element.convertedType = type
        // UINT_8 to UINT_64.
        element.isUnsigned = element.isUnsigned || (11...14).contains(type)
      case (10, .structure): try logicalType(&reader, &element)
      default: return false
      }
      return true
    }
    return element
  }

  /// A union: one field, whose number is the type.
  private static func logicalType(_ reader: inout ThriftReader, _ element: inout Element) throws(ParquetError) {
    var (type, isUnsigned): (Int?, Bool) = (nil, false)
    try reader.fields { (reader, id, kind) throws(ParquetError) in
      type = id
      guard id == 10, kind == .structure else { return false }
      try reader.fields { (_, id, kind) throws(ParquetError) in
        if id == 2, kind == .no { isUnsigned = true }
        return false
      }
      return true
    }
    element.logicalType = type
    element.isUnsigned = element.isUnsigned || isUnsigned
  }

  private static func rowGroup(_ reader: inout ThriftReader, chunkLimit: Int) throws(ParquetError) -> RowGroup {
    var group = RowGroup()
    try reader.fields { (reader, id, kind) throws(ParquetError) in
      switch (id, kind) {
      case (1, .list): group.chunks = try reader.list(limit: chunkLimit, chunk)
      case (3, .long): group.rowCount = try reader.integer()
      default: return false
      }
      return true
    }
    return group
  }

  private static func chunk(_ reader: inout ThriftReader) throws(ParquetError) -> Chunk {
    var chunk = Chunk()
    try reader.fields { (reader, id, kind) throws(ParquetError) in
      switch (id, kind) {
      case (1, .binary): chunk.isElsewhere = try !reader.binary().isEmpty
      case (3, .structure):
        try reader.fields { (reader, id, kind) throws(ParquetError) in
          switch (id, kind) {
          case (4, .int): chunk.codec = try reader.integer()
          case (5, .long): chunk.valueCount = try reader.integer()
          case (7, .long): chunk.byteCount = try reader.integer()
          case (9, .long): chunk.dataOffset = try reader.integer()
          case (11, .long): chunk.dictionaryOffset = try reader.integer()
          default: return false
          }
          return true
        }
      default: return false
      }
      return true
    }
    return chunk
  }
}
