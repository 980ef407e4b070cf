public import AngelCore

/// A row as it stands in its file; it is parsed when it is asked for.
public struct Record: Sendable {
  enum Content: Sendable {
    case json([UInt8])
    case fields([UInt8], names: [String], separator: UInt8)
    case text([UInt8])
    /// `bytes` as it takes in memory, about.
    case value(JSONValue, bytes: Int)
  }

  /// Where a row begins.
  enum Position: Sendable, Hashable {
    /// Line and column in bytes, both from 1.
    case line(Int, column: Int)
    /// The number of the row, from 1, in files that have no lines.
    case row(Int)
  }

  let content: Content
  let path: String
  let position: Position
  /// Whether this is a piece of a text that goes on with the next row.
  public let continues: Bool

  /// How many bytes the row has; of columns about what it takes in memory.
  public var byteCount: Int {
    switch content {
    case .json(let bytes), .text(let bytes), .fields(let bytes, _, _): bytes.count
    case .value(_, let bytes): bytes
    }
  }

  /// `path:line`, or `path, row n`.
  public var place: String {
    switch position {
    case .line(let line, _): "\(path):\(line)"
    case .row(let row): "\(path), row \(row)"
    }
  }

  /// The row as JSON; text is a string.
  public func row() throws(DataError) -> JSONValue {
    switch content {
    case .value(let value, _): return value
    case .text(let bytes): return .string(String(decoding: bytes, as: UTF8.self))
    case .fields(let bytes, let names, let separator):
      do { return try TableRow.object(bytes, names: names, separator: separator) } catch {
        throw .row(place: place, reason: error.reason)
      }
    case .json(let bytes):
      do { return try JSONValue(parsing: bytes, maximumDepth: 64) } catch {
        throw .row(place: place(of: error.offset, in: bytes), reason: "not JSON: \(error.reason)")
      }
    }
  }

  /// The text of the row: the row itself, or what it has under `key`; throws naming the keys it has instead.
  public func text(key: String) throws(DataError) -> String {
    let row = try row()
    if let text = row.string ?? row[key]?.string { return text }
    let keys = row.object?.members.map { quoted($0.key) }.joined(separator: ", ") ?? row.kind
    throw .row(place: place, reason: "no text under \(quoted(key)); the row has \(keys)")
  }

  /// `path:line:column` of a byte of the row.
  private func place(of offset: Int, in bytes: [UInt8]) -> String {
    guard case .line(let line, let column) = position else { return place }
    let before = bytes.prefix(offset)
    let lines = before.count { $0 == UInt8(ascii: "\n") }
    let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 }
    return "\(path):\(line + lines):\(start.map { before.count - $0 + 1 } ?? column + before.count)"
  }
}
