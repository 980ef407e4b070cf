public import AngelCore

/// A file of rows, read where it lies: JSON lines, a JSON array, fields between commas or tabs, or plain text as a
/// single row. Files packed by gzip or Zstandard (`.gz`, `.zst`) are unpacked in memory.
///
/// Opening finds where each row begins and ends (eight bytes a row); a row is parsed when it is asked for.
public struct RecordFile: Sendable {
  /// How the rows are written.
  public enum Format: String, Sendable {
    /// One JSON value a line; blank lines are skipped.
    case jsonLines
    /// One JSON array whose elements are the rows.
    case jsonArray
    /// A row of names, then a row of fields a line (RFC 4180).
    case delimited
    /// The whole file is one row of text.
    case text
  }

  public let path: String
  public let format: Format
  private let file: RecordBytes
  private let ranges: [Range<Int>]
  /// The columns of a delimited file.
  private let columns: DelimitedText?

  /// Opens the file at `path`; `.jsonl`, `.json`, `.csv`, `.tsv`, and any other ending as text. An empty file is
  /// refused.
  public init(path: String) throws(DataError) {
    self.path = path
    guard !path.lowercased().hasSuffix(".parquet") else {
      throw .unusable(path: path, reason: "'.parquet' files are not read; convert it to JSON lines (.jsonl)")
    }
    file = try RecordBytes(path: path)
    let (name, bytes) = (file.name.lowercased(), file.unsafeBytes)
    let isDelimited = name.hasSuffix(".csv") || name.hasSuffix(".tsv")
    format =
      name.hasSuffix(".jsonl") ? .jsonLines : name.hasSuffix(".json") ? .jsonArray : isDelimited ? .delimited : .text
    let separator = name.hasSuffix(".tsv") ? UInt8(ascii: "\t") : UInt8(ascii: ",")
    columns = try isDelimited ? DelimitedText(bytes, separator: separator, path: path) : nil
    switch format {
    case .text: ranges = bytes.isEmpty ? [] : [0..<bytes.count]
    case .jsonLines: ranges = RecordScanner.lines(bytes)
    case .jsonArray: ranges = try RecordScanner.elements(bytes, path: path)
    case .delimited: ranges = columns?.rows ?? []
    }
    guard !ranges.isEmpty else { throw .unusable(path: path, reason: "it holds no rows; there is nothing to train on") }
  }

  /// The number of rows.
  public var count: Int { ranges.count }

  /// The row at `index` as JSON; text is a string.
  public func row(at index: Int) throws(DataError) -> JSONValue {
    try withExtendedLifetime(file) { () throws(DataError) in
      let bytes = UnsafeRawBufferPointer(rebasing: file.unsafeBytes[ranges[index]])
      if format == .text { return .string(String(decoding: bytes, as: UTF8.self)) }
      if let columns {
        do throws(DelimitedText.FieldError) { return try columns.row(bytes) } catch {
          throw .row(place: place(of: index), reason: error.reason)
        }
      }
      do throws(JSONError) {
        return try JSONValue(parsing: bytes, maximumDepth: 64)
      } catch {
        let offset = ranges[index].lowerBound + error.offset
        throw .row(place: place(ofByte: offset), reason: "not JSON: \(error.reason)")
      }
    }
  }

  /// Where the row at `index` begins: `path:line`.
  public func place(of index: Int) -> String { "\(path):\(line(ofByte: ranges[index].lowerBound))" }

  /// `path:line:column`, both from 1, the column in bytes.
  private func place(ofByte offset: Int) -> String {
    let bytes = file.unsafeBytes
    let offset = min(offset, bytes.count)
    let start = bytes[..<offset].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    return "\(path):\(line(ofByte: offset)):\(offset - start + 1)"
  }

  private func line(ofByte offset: Int) -> Int {
    file.unsafeBytes[..<min(offset, file.unsafeBytes.count)].reduce(1) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
  }
}
