import AngelCore

/// The rows of a file one after the other: JSON lines, a JSON array, fields between commas or tabs, Parquet, or plain
/// text as a single row. Files packed by gzip or Zstandard (`.gz`, `.zst`) are unpacked as they are read.
///
/// What is held at a time is a row (of Parquet a page of each column), however long the file is.
public final class RecordReader {
  /// How the rows are written.
  public enum Format: String, Sendable {
    /// One JSON value a line; blank lines are skipped.
    case jsonLines
    /// One JSON array whose elements are the rows.
    case jsonArray
    /// A row of names, then a row of fields a line (RFC 4180).
    case table
    /// The whole file is one row of text, which comes in pieces of at most 4 MiB where it is longer.
    case text
    /// Columns (Apache Parquet).
    case parquet
  }

  private enum Source {
    case bytes(ByteRows)
    case parquet(ParquetRows, bytes: Int)
  }

  public let path: String
  public let format: Format
  private let source: Source
  private var isEmpty = true

  /// Opens the file at `path`; `.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet`, and any other ending as text.
  ///
  /// Files of tokens hold no rows, and Parquet is read from its end, which a packed file does not show: both are refused.
  ///
  /// - Parameter keys: what is wanted of a row, where it can be read without the rest (Parquet); nothing: all of it.
  public init(path: String, keys: Set<String> = []) throws(DataError) {
    self.path = path
    try Self.requireRows(path)
    if path.lowercased().hasSuffix(".parquet") {
      format = .parquet
      let file = try accessing(try MappedFile(path: path))
      source = .parquet(
        try Self.reading(path) { () throws(ParquetError) in try ParquetRows(file, keys: keys) }, bytes: file.byteCount)
      return
    }
    let stream = try ByteStream(path: path)
    let name = stream.name.lowercased()
    let separator = UInt8(ascii: name.hasSuffix(".tsv") ? "\t" : ",")
    let cutter: any RowCutter
    (format, cutter) =
      if name.hasSuffix(".jsonl") { (.jsonLines, LineCutter()) } else if name.hasSuffix(".json") {
        (.jsonArray, ArrayCutter())
      } else if name.hasSuffix(".csv") || name.hasSuffix(".tsv") { (.table, TableCutter(separator: separator)) } else {
        (.text, TextCutter())
      }
    source = .bytes(ByteRows(stream, cutter, format, separator: separator))
  }

  private static func requireRows(_ path: String) throws(DataError) {
    let packed = PackedFormat.of(path)
    let name = (packed?.name ?? path).lowercased()
    if name.hasSuffix(".tokens") {
      throw .unusable(
        path: path, reason: "it holds tokens, not rows; name files of tokens alone, or the texts they were made from")
    }
    if packed != nil, name.hasSuffix(".parquet") {
      throw .unusable(
        path: path, reason: "Parquet is not read from a packed file; unpack it, its pages are packed anyway")
    }
  }

  /// Bytes of the file, and of those read so far, for showing progress.
  public var byteCount: Int {
    switch source {
    case .bytes(let rows): rows.stream.byteCount
    case .parquet(_, let bytes): bytes
    }
  }
  public var bytesRead: Int {
    switch source {
    case .bytes(let rows): rows.stream.bytesRead
    case .parquet(let rows, let bytes): Int(Double(bytes) * Double(rows.rowsRead) / Double(max(1, rows.count)))
    }
  }

  /// The next row; nil after the last. A file without any is refused.
  public func next() throws(DataError) -> Record? {
    let record: Record?
    switch source {
    case .bytes(let rows): record = try rows.next()
    case .parquet(let rows, _):
      let value = try Self.reading(path) { () throws(ParquetError) in try rows.next() }
      record = value.map {
        Record(
          content: .value($0, bytes: rows.rowByteCount), path: path, position: .row(rows.rowsRead), continues: false)
      }
    }
    guard record != nil || !isEmpty else {
      throw .unusable(path: path, reason: "it holds no rows; there is nothing to train on")
    }
    isEmpty = false
    return record
  }

  private static func reading<Result>(
    _ path: String, _ body: () throws(ParquetError) -> Result
  ) throws(DataError) -> Result {
    do { return try body() } catch { throw .unusable(path: path, reason: error.reason) }
  }
}
