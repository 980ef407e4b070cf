/// Rows of fields (RFC 4180): they end with a line end that is not inside quotes.
struct TableCutter: RowCutter {
  /// A comma or a tab.
  let separator: UInt8
  private var scanned = 0
  // A quote means something only in a field that begins with one, as in `TableRow`.
  private var isStart = true
  private var isQuotedField = false
  private var isQuoted = false
  private var isFirst = true

  init(separator: UInt8) { self.separator = separator }

  mutating func next(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(CutError) -> Cut? {
    if isFirst {
      guard bytes.count >= 3 || isLast else { return nil }
      isFirst = false
      // A mark of the byte order is no part of the first name.
      if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return Cut(row: 0..<0, end: 3) }
    }
    while scanned < bytes.count {
      let byte = bytes[scanned]
      if isStart { isQuotedField = byte == UInt8(ascii: "\"") }
      if isQuotedField, byte == UInt8(ascii: "\"") { isQuoted.toggle() }
      isStart = !isQuoted && (byte == separator || byte == UInt8(ascii: "\n"))
      scanned += 1
      if byte == UInt8(ascii: "\n"), !isQuoted { return cut(bytes, before: scanned - 1, end: scanned) }
    }
    guard isLast, !bytes.isEmpty else { return nil }
    guard !isQuoted else { throw CutError(reason: "a quote that opens a field is never closed") }
    return cut(bytes, before: bytes.count, end: bytes.count)
  }

  private mutating func cut(_ bytes: UnsafeRawBufferPointer, before last: Int, end: Int) -> Cut {
    scanned = 0
    let isReturn = last > 0 && bytes[last - 1] == UInt8(ascii: "\r")
    return Cut(row: 0..<(isReturn ? last - 1 : last), end: end)
  }
}
